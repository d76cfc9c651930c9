// memory KIND...: what a program sees of its memory, and how far it comes.
//
//   show [SECONDS]            what the collector says that there is: available, high-load mark
//   fill KINDS CAP            for each of the KINDS, "soh,loh,poh": how many MiB of it fit, at most CAP
//   regions N SIZE MS         N times: a no-GC region of SIZE MiB, most of which is used, and MS in it
//   turns KIND CAP            fill, again and again, for a native host that changes limits in between. It exports
//                             int memory_turn(int fit, int64_t available, int64_t high);  (__stdcall; 0: once more)
//   cache CAP TURNS           a cache of up to CAP MB, of small objects, that halves itself at the high-load mark, and is emptied
//                             when it is refused: so often in all
//
// The last line is "done".

using System;
using System.Collections.Generic;
using System.Runtime;
using System.Runtime.InteropServices;
using System.Threading;

static class Program
{
    private const int MiB = 1 << 20;

    private static void Show(string when)
    {
        GC.Collect(); // what it says is of the last collection
        GCMemoryInfo info = GC.GetGCMemoryInfo(GCKind.Any);
        Console.WriteLine($"{when}: available {info.TotalAvailableMemoryBytes} high {info.HighMemoryLoadThresholdBytes}");
    }

    // One MiB of objects of a kind.
    private static object Piece(string kind)
    {
        switch (kind)
        {
            case "loh":
                return new byte[MiB - 64];
            case "poh":
                var pinned = new object[16];
                for (int i = 0; i < pinned.Length; i++)
                    pinned[i] = GC.AllocateArray<byte>(MiB / 16 - 64, pinned: true);
                return pinned;
            default:
                var small = new object[64];
                for (int i = 0; i < small.Length; i++)
                    small[i] = new byte[MiB / 64 - 32];
                return small;
        }
    }

    private static int Fill(string kind, int cap)
    {
        var held = new List<object>(cap);
        try
        {
            while (held.Count < cap)
                held.Add(Piece(kind));
        }
        catch (OutOfMemoryException)
        {
        }
        int fit = held.Count;
        held.Clear();
        GC.Collect();
        GC.Collect();
        return fit;
    }

    private static unsafe void Turns(string kind, int cap)
    {
        IntPtr export = NativeLibrary.GetExport(NativeLibrary.GetMainProgramHandle(), "memory_turn");
        var turn = (delegate* unmanaged[Stdcall]<int, long, long, int>)export;
        int fit, go;
        Thread.Sleep(500);
        do
        {
            fit = Fill(kind, cap);
            GCMemoryInfo info = GC.GetGCMemoryInfo(GCKind.Any);
            go = turn(fit, info.TotalAvailableMemoryBytes, info.HighMemoryLoadThresholdBytes);
        } while (go == 0);
    }

    // True: it was left as it was entered; false: a collection has ended it.
    private static bool UseRegion(int size, int rest)
    {
        var used = new List<byte[]>();
        for (int n = 0; n < size * 12; n++)
            used.Add(new byte[65000]);
        Thread.Sleep(rest);
        GC.KeepAlive(used);
        try
        {
            GC.EndNoGCRegion();
            return true;
        }
        catch (InvalidOperationException)
        {
            return false;
        }
    }

    private static void Regions(int count, int size, int rest)
    {
        int entered = 0, kept = 0;
        for (int i = 0; i < count; i++)
        {
            if (GC.TryStartNoGCRegion((long)size * MiB))
            {
                entered++;
                kept += UseRegion(size, rest) ? 1 : 0;
            }
            Thread.Sleep(1000); // what was put off may come now
        }
        Console.WriteLine($"regions: {entered} of {count} entered, {kept} kept");
    }

    private static void Cache(int cap, int turns)
    {
        const int size = 10000;
        var cache = new Queue<byte[]>();
        int trims = 0, refused = 0, seen = 0;
        while (trims + refused < turns)
        {
            try
            {
                cache.Enqueue(new byte[size]);
                if ((long)cache.Count * size > cap * 1000000L)
                    cache.Dequeue();
            }
            catch (OutOfMemoryException)
            {
                refused++;
                cache.Clear();
            }
            if (GC.CollectionCount(2) == seen)
                continue;
            seen = GC.CollectionCount(2);
            GCMemoryInfo info = GC.GetGCMemoryInfo(GCKind.Any);
            if (cache.Count == 0 || info.MemoryLoadBytes < info.HighMemoryLoadThresholdBytes)
                continue;
            trims++;
            for (int left = cache.Count / 2; left > 0; left--)
                cache.Dequeue();
        }
        Console.WriteLine($"cache: {trims} trims, {refused} refused");
    }

    private static int Main(string[] args)
    {
        switch (args[0])
        {
            case "show":
                Show("at start");
                Thread.Sleep(1000 * Arguments.Number(args, 1, 1));
                Show("later");
                break;
            case "fill":
                Thread.Sleep(500); // the host may have something to say first
                foreach (string kind in args[1].Split(','))
                    Console.WriteLine($"{kind}: {Fill(kind, Arguments.Number(args, 2, 600))} MiB fit");
                Show("filled");
                break;
            case "turns":
                Turns(args[1], Arguments.Number(args, 2, 600));
                break;
            case "regions":
                Regions(Arguments.Number(args, 1, 1), Arguments.Number(args, 2, 84), Arguments.Number(args, 3, 1000));
                break;
            case "cache":
                Cache(Arguments.Number(args, 1, 150), Arguments.Number(args, 2, 60));
                break;
        }
        Console.WriteLine("done");
        return 0;
    }
}
