// grow [cap MB] [arrays|large|objects] [threads] [rounds]
//
// Grows until OutOfMemoryException or until it holds `cap` MB (payload, all threads together), lets everything go, and
// does it again. What is held is a chain, so that growing by one block allocates that block and nothing else:
//   arrays   byte arrays of 64 KiB      large   byte arrays of 1 MiB (large object heap)
//   objects  small objects
// Nothing is printed while memory is short. The first exception of a round stops all its threads.

using System;
using System.Threading;

class Block
{
    public readonly Block? Next;

    public Block(Block? next)
    {
        Next = next;
    }
}

sealed class ArrayBlock : Block
{
    public readonly byte[] Data;

    public ArrayBlock(Block? next, int size) : base(next)
    {
        Data = new byte[size];
        Data[size / 2] = 1;
    }
}

// 64 bytes with the header word, the method table and Next.
sealed class SmallBlock : Block
{
    public readonly (long, long, long, long, long) Payload;

    public SmallBlock(Block? next) : base(next)
    {
        Payload.Item1 = 1;
    }
}

sealed class Round
{
    private readonly string _kind;
    private readonly int _blockSize;
    private readonly long _share;
    private readonly Block?[] _chains;
    private readonly long[] _held;
    private readonly ManualResetEventSlim _begin = new(false);
    private int _refused;
    private volatile bool _stop;

    public Round(string kind, long cap, int threads)
    {
        _kind = kind;
        _blockSize = kind switch
        {
            "arrays" => 64 << 10,
            "large" => 1 << 20,
            "objects" => 64,
            _ => throw new ArgumentException("no such kind of block: " + kind)
        };
        _share = cap / threads;
        _chains = new Block?[threads];
        _held = new long[threads];
    }

    public int Refused => _refused;

    private void Grow(int index)
    {
        _begin.Wait();
        try
        {
            while (!_stop && _held[index] + _blockSize <= _share)
            {
                _chains[index] = _kind == "objects" ? new SmallBlock(_chains[index])
                                                    : new ArrayBlock(_chains[index], _blockSize);
                _held[index] += _blockSize;
            }
        }
        catch (OutOfMemoryException)
        {
            _stop = true;
            Interlocked.Increment(ref _refused);
        }
    }

    // Returns the bytes that were held at the end of the round. All of it is garbage afterwards.
    public long Run()
    {
        var threads = new Thread[_chains.Length];
        for (int i = 0; i < threads.Length; i++)
        {
            int index = i;
            threads[i] = new Thread(() => Grow(index));
            threads[i].Start();
        }
        _begin.Set();

        long held = 0;
        for (int i = 0; i < threads.Length; i++)
        {
            threads[i].Join();
            held += _held[i];
        }
        Array.Clear(_chains);
        return held;
    }
}

static class Program
{
    private static int Main(string[] args)
    {
        long cap = (long)Arguments.Number(args, 0, 200) << 20;
        string kind = args.Length > 1 ? args[1] : "arrays";
        int threads = Arguments.Number(args, 2, 1);
        int rounds = Arguments.Number(args, 3, 2);

        HeapObject.Show();
        for (int i = 1; i <= rounds; i++)
        {
            var round = new Round(kind, cap, threads);
            long held = round.Run();
            GC.Collect();
            Console.WriteLine($"round {i}: held {held} bytes, stopped by "
                              + (round.Refused > 0 ? "OutOfMemoryException" : "cap"));
        }
        Console.WriteLine($"after release: {GC.GetTotalMemory(true) >> 20} MB");
        Console.WriteLine("done");
        return 0;
    }
}
