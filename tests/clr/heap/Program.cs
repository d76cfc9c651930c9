// heap [megabytes]
//
// Fills each part of the garbage collector's heap and shows it to the native host, at a moment when the collector's
// own figures are current. The host exports
//     void heap_shown(int kind, void *address_or_bytes);      (__stdcall)
// kind 0: an old object, 1: a young one, 2: a large one, 3: a pinned one, 4: a string literal (on .NET 8 and later
// outside the heap), 5: what the collector says it has committed for the heap, in bytes.

using System;
using System.Runtime;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;

static unsafe class Program
{
    private static readonly object[] s_kept = new object[4];

    private sealed class Node
    {
        public Node? Left, Right;
    }

    private static Node Build(int depth)
    {
        return depth == 0 ? new Node() : new Node { Left = Build(depth - 1), Right = Build(depth - 1) };
    }

    private static int Count(Node? node)
    {
        return node == null ? 0 : 1 + Count(node.Left) + Count(node.Right);
    }

    private static void* Address(object value)
    {
        return *(void**)Unsafe.AsPointer(ref value);
    }

    private static int Main(string[] args)
    {
        int megabytes = Arguments.Number(args, 0, 64);
        IntPtr export = NativeLibrary.GetExport(NativeLibrary.GetMainProgramHandle(), "heap_shown");
        var shown = (delegate* unmanaged[Stdcall]<int, void*, void>)export;

        // Several threads, so that server collectors use several heaps; some of it survives.
        int nodes = 0;
        var threads = new Thread[3];
        var trees = new Node[threads.Length];
        for (int t = 0; t < threads.Length; t++)
        {
            int index = t;
            threads[t] = new Thread(() =>
            {
                trees[index] = Build(16);
                for (int round = 0; round < 12; round++)
                    Interlocked.Add(ref nodes, Count(Build(13)));
            });
            threads[t].Start();
        }
        foreach (Thread thread in threads)
            thread.Join();

        // More segments than the first ones, one after the other, and some of them given back.
        var large = new byte[megabytes][];
        for (int i = 0; i < large.Length; i++)
        {
            large[i] = new byte[1 << 20];
            large[i][i] = 1;
        }
        for (int i = 0; i < large.Length; i += 2)
            large[i] = Array.Empty<byte>();

        s_kept[0] = trees[0];
        s_kept[2] = large[1];
        s_kept[3] = GC.AllocateArray<byte>(200000, pinned: true);
        GC.Collect(2, GCCollectionMode.Forced, blocking: true, compacting: true);
        GC.WaitForPendingFinalizers();
        GC.Collect(2, GCCollectionMode.Forced, blocking: true, compacting: true);
        long committed = GC.GetGCMemoryInfo(GCKind.FullBlocking).TotalCommittedBytes;
        shown(5, (void*)committed);

        s_kept[1] = new object();
        for (int kind = 0; kind < s_kept.Length; kind++)
            shown(kind, Address(s_kept[kind]));
        shown(4, Address("a literal"));

        foreach (Node tree in trees)
            nodes += Count(tree);
        Console.WriteLine("nodes " + nodes + " server " + (GCSettings.IsServerGC ? 1 : 0));
        GC.KeepAlive(large);
        Console.WriteLine("done");
        return 42;
    }
}
