// idle garbage|cache [megabytes] [return|exit]
//
// A program for a native host that watches its memory while it runs. The host exports
//     int idle_shown(int kind, int64_t value);      (__stdcall; 0: go on, anything else: end)
//
//   garbage   makes `megabytes` that survive collections, lets them go and does nothing any more: it waits inside
//             idle_shown(0, bytes) until the host lets it go on
//   cache     keeps allocating. A cache holds half of what the collector says is available, but never more than
//             `megabytes`; it drops entries when that shrinks or memory runs out, and replaces others all the time.
//             Of each round it shows 1: GC.GetGCMemoryInfo().TotalAvailableMemoryBytes, 2: the bytes that it holds,
//             3: how often it met OutOfMemoryException
//
// At the end Main returns 42, or calls Environment.Exit(42), while another thread keeps allocating.

using System;
using System.Runtime.InteropServices;
using System.Threading;

static unsafe class Program
{
    private const int BlockSize = 64 << 10;

    private static delegate* unmanaged[Stdcall]<int, long, int> s_shown;

    private static byte[][] NewBlocks(int megabytes)
    {
        return new byte[(int)(((long)megabytes << 20) / BlockSize)][];
    }

    private static long MakeGarbage(int megabytes)
    {
        byte[][] blocks = NewBlocks(megabytes);
        for (int i = 0; i < blocks.Length; i++)
            blocks[i] = new byte[BlockSize];
        GC.Collect();
        GC.Collect();
        GC.KeepAlive(blocks);
        return (long)blocks.Length * BlockSize;
    }

    // One round: a little more or less, and a little that is new. Returns the number of blocks held.
    private static int Refresh(byte[]?[] blocks, int held, ref int next, ref long available)
    {
        available = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        int wanted = (int)Math.Min(blocks.Length, available / 2 / BlockSize);

        while (held > wanted)
            blocks[--held] = null;
        for (int i = 0; i < 64 && held < wanted; i++, held++)
            blocks[held] = new byte[BlockSize];
        for (int i = 0; i < 16 && held > 0; i++)
            blocks[next++ % held] = new byte[BlockSize];
        return held;
    }

    private static void Cache(int megabytes, bool show)
    {
        byte[]?[]? blocks = null;
        int held = 0, next = 0, refused = 0;
        long available = 0;

        for (int ends = 0; ends == 0;)
        {
            try
            {
                blocks ??= NewBlocks(megabytes);
                held = Refresh(blocks, held, ref next, ref available);
            }
            catch (OutOfMemoryException)
            {
                refused++;
                while (held > 0 && blocks![held - 1] == null)
                    held--;
                if (blocks != null)
                    Array.Clear(blocks, held / 2, blocks.Length - held / 2);
                held /= 2;
            }
            if (show)
                ends = s_shown(1, available) | s_shown(2, (long)held * BlockSize) | s_shown(3, refused);
        }
    }

    // Not before another thread allocates. A limit that falls below what is in use refuses whatever is asked for, until
    // the collector has given enough back.
    private static void End(bool exit)
    {
        for (Thread? other = null;;)
        {
            try
            {
                if (other == null)
                {
                    var thread = new Thread(() => Cache(8, false)) { IsBackground = true };
                    thread.Start();
                    other = thread;
                }
                Thread.Sleep(50);
                if (exit)
                    Environment.Exit(42);
                return;
            }
            catch (OutOfMemoryException)
            {
                Thread.Sleep(1);
            }
        }
    }

    private static int Main(string[] args)
    {
        string way = args.Length > 0 ? args[0] : "garbage";
        int megabytes = Arguments.Number(args, 1, 64);
        IntPtr export = NativeLibrary.GetExport(NativeLibrary.GetMainProgramHandle(), "idle_shown");

        s_shown = (delegate* unmanaged[Stdcall]<int, long, int>)export;
        if (way == "cache")
            Cache(megabytes, true);
        else
            s_shown(0, MakeGarbage(megabytes));

        Console.WriteLine("done");
        if (args.Length > 2)
            End(args[2] == "exit");
        return 42;
    }
}
