/*
 * make_trace SCENE FILE [AMOUNT] - writes one of trace_scenes.c's traces
 */
#include <stdio.h>
#include <stdlib.h>

#include "support/trace_maker.h"

int main(int argc, char **argv)
{
    struct trace_maker maker = {0};

    if (argc < 3 || !maker_scene(&maker, argv[1], argc > 3 ? strtoull(argv[3], NULL, 10) : 0)) {
        fputs("usage: make_trace small|leaks|program|crowded FILE [AMOUNT]\n", stderr);
        return 2;
    }
    FILE *file = fopen(argv[2], "wb");
    if (!file || fwrite(maker.bytes, 1, maker.size, file) != maker.size || fclose(file) != 0) {
        perror(argv[2]);
        return 1;
    }
    maker_free(&maker);
    return 0;
}
