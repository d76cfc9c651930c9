// ending HOW [...]
//
// A program that ends in each of the ways a program can end:
//   return N       Main returns N                      exit N         Environment.Exit(N)
//   throw          unhandled exception in Main         throw-thread   unhandled exception in another thread
//   failfast       Environment.FailFast
//   memory [KB]    keeps allocating blocks until nobody handles an OutOfMemoryException
//   wait SECONDS   waits; Ctrl-C ends the wait through Console.CancelKeyPress, and Main returns 7
// or shows that it is connected to the outside:
//   echo           copies its input to its output      arguments ...  prints each argument in brackets
//   both           a line to the output, one to the error stream
// `return`, `echo`, `arguments`, `both` and an interrupted `wait` print `done` at the end.

using System;
using System.Threading;

static class Program
{
    private static int Done(int status)
    {
        Console.WriteLine("done");
        return status;
    }

    private static int Echo()
    {
        using var input = Console.OpenStandardInput();
        using var output = Console.OpenStandardOutput();
        input.CopyTo(output);
        output.Flush();
        return Done(0);
    }

    private static int Print(string[] args)
    {
        for (int i = 1; i < args.Length; i++)
            Console.WriteLine($"[{args[i]}]");
        return Done(0);
    }

    private static int Wait(int seconds)
    {
        using var cancelled = new ManualResetEventSlim(false);
        Console.CancelKeyPress += (_, e) =>
        {
            e.Cancel = true;
            cancelled.Set();
        };
        Console.WriteLine("waiting");
        if (!cancelled.Wait(TimeSpan.FromSeconds(seconds)))
        {
            Console.WriteLine("nobody came");
            return 1;
        }
        Console.WriteLine("interrupted");
        return Done(7);
    }

    private static int Exhaust(int kilobytes)
    {
        object?[]? last = null;
        for (;;)
            last = new object?[] { last, new byte[kilobytes << 10] };
    }

    private static int Main(string[] args)
    {
        HeapObject.Show();
        string how = args.Length > 0 ? args[0] : "return";
        int number = how is "return" or "exit" or "wait" ? Arguments.Number(args, 1, how == "wait" ? 20 : 0) : 0;
        switch (how)
        {
            case "return":
                return Done(number);
            case "exit":
                Environment.Exit(number);
                return 99;
            case "throw":
                throw new InvalidOperationException("nobody handles this");
            case "throw-thread":
                var thread = new Thread(() => throw new InvalidOperationException("nobody handles this in a thread"));
                thread.Start();
                thread.Join();
                return 99;
            case "failfast":
                Environment.FailFast("this was asked for");
                return 99;
            case "memory":
                return Exhaust(Arguments.Number(args, 1, 64));
            case "echo":
                return Echo();
            case "arguments":
                return Print(args);
            case "both":
                Console.WriteLine("to the output");
                Console.Error.WriteLine("to the error stream");
                return Done(0);
            case "wait":
                return Wait(number);
            default:
                Console.Error.WriteLine("ending: unknown way '" + how + "'");
                return 98;
        }
    }
}
