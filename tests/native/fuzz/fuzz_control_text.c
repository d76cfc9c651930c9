/*
 * fuzz_control_text.c - a line that is understood says just one thing: written again, it is read as the same
 */
#include <stdlib.h>
#include <string.h>

#include "tools/control_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool right)
{
    if (!right)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct control_request request, again;
    char line[CONTROL_LINE], *exact = malloc(size + 1); /* no byte behind it may be read */
    bool any = false;

    memcpy(exact, data, size);
    exact = realloc(exact, size ? size : 1);
    if (control_read(&request, exact, size) == NULL) {
        require(size < CONTROL_LINE && exact[size - 1] == '\n');
        for (unsigned which = 0; which < CONTROL_FIGURES; which++)
            any |= request.figure[which] != 0;
        require(request.get != any);
        const size_t length = control_write(&request, line);
        require(length < CONTROL_LINE && line[length] == 0);
        require(control_read(&again, line, length) == NULL);
        require(memcmp(&request, &again, sizeof request) == 0);
    }
    free(exact);
    return 0;
}
