// churn [threads] [depth] [rounds]
//
// Allocation-heavy work with a known result: every thread builds and drops binary trees, short-lived ones beside one
// that lives as long as the thread, and sums them up. The checksum depends on the arguments only. How much is committed
// depends on the size of the processor's cache, unless DOTNET_GCgen0size (hexadecimal) says what it is to be.

using System;
using System.Threading;

sealed class Tree
{
    private readonly Tree? _left;
    private readonly Tree? _right;
    private readonly int _value;

    private Tree(int value, Tree? left, Tree? right)
    {
        _value = value;
        _left = left;
        _right = right;
    }

    public static Tree Build(int depth, int value)
    {
        return depth == 0 ? new Tree(value, null, null)
                          : new Tree(value, Build(depth - 1, 2 * value), Build(depth - 1, 2 * value + 1));
    }

    public ulong Sum()
    {
        ulong sum = (uint)_value * 2654435761UL;
        if (_left != null)
            sum = sum * 31 + _left.Sum();
        if (_right != null)
            sum = sum * 31 + _right.Sum();
        return sum;
    }
}

static class Program
{
    private static ulong Work(int seed, int depth, int rounds)
    {
        Tree kept = Tree.Build(depth, seed);
        ulong sum = 0;
        for (int round = 0; round < rounds; round++)
            sum = sum * 17 + Tree.Build(depth - 2 - round % 3, seed + round).Sum();
        return sum + kept.Sum();
    }

    private static int Main(string[] args)
    {
        int threads = Arguments.Number(args, 0, 4);
        int depth = Arguments.Number(args, 1, 15);
        int rounds = Arguments.Number(args, 2, 3000);

        HeapObject.Show();
        var sums = new ulong[threads];
        var workers = new Thread[threads];
        for (int i = 0; i < threads; i++)
        {
            int index = i;
            workers[i] = new Thread(() => sums[index] = Work(index + 1, depth, rounds));
            workers[i].Start();
        }

        ulong checksum = 0;
        for (int i = 0; i < threads; i++)
        {
            workers[i].Join();
            checksum = checksum * 1099511628211UL + sums[i];
        }
        Console.WriteLine($"churn {threads} {depth} {rounds}: checksum {checksum:x16}");
        Console.WriteLine($"collections {GC.CollectionCount(0)} {GC.CollectionCount(1)} {GC.CollectionCount(2)}");
        Console.WriteLine("done");
        return 0;
    }
}
