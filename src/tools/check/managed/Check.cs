// The managed half of hostmem-check: one command at a time, from native code, and a number back. For .NET Framework
// (ExecuteInDefaultAppDomain: static int M(string)) and .NET 8 and later (a component's entry point) alike.
//
//   echo N           N
//   hold N           keeps N MiB more; the MiB kept
//   fill N           keeps as many of N MiB as there is memory for, lets all go; how many were kept
//   drop             lets all go, collects; 0
//   collections      how often there was a collection since the start
//
// Out of memory is -1 (of `hold`), an unknown command -2, any other exception -3.

using System;
using System.Runtime.InteropServices;

namespace Hostmem
{
    public static class Check
    {
        // A large object: committed as it is allocated, and not moved.
        private const int Piece = 1 << 20;

        private static byte[][] kept = new byte[4096][];
        private static int count;

        private static void Drop()
        {
            for (int i = 0; i < count; i++)
                kept[i] = null;
            count = 0;
            GC.Collect();
            GC.Collect();
        }

        private static int Hold(int pieces)
        {
            for (int i = 0; i < pieces; i++)
            {
                byte[] piece = new byte[Piece];
                for (int at = 0; at < Piece; at += 4096)
                    piece[at] = 1;
                kept[count] = piece;
                count++;
            }
            return count;
        }

        private static int Fill(int pieces)
        {
            int before = count;
            try
            {
                Hold(pieces);
            }
            catch (OutOfMemoryException)
            {
            }
            int fit = count - before;
            Drop();
            return fit;
        }

        public static int Run(string command)
        {
            int blank = command.IndexOf(' ');
            string name = blank < 0 ? command : command.Substring(0, blank);
            int number = blank < 0 ? 0 : int.Parse(command.Substring(blank + 1));
            try
            {
                if (name == "echo")
                    return number;
                if (name == "hold")
                    return Hold(number);
                if (name == "fill")
                    return Fill(number);
                if (name == "drop")
                {
                    Drop();
                    return 0;
                }
                if (name == "collections")
                    return GC.CollectionCount(0);
                return -2;
            }
            catch (OutOfMemoryException)
            {
                return -1;
            }
            catch (Exception)
            {
                return -3;
            }
        }

        // `argument`: the command, with its zero.
        public static int Entry(IntPtr argument, int size)
        {
            return Run(Marshal.PtrToStringUni(argument));
        }

        // `argument`: receives the address of an object in the collector's heap that lives as long as the process.
        public static int Object(IntPtr argument, int size)
        {
            GCHandle handle = GCHandle.Alloc(new byte[256], GCHandleType.Pinned);
            Marshal.WriteInt64(argument, handle.AddrOfPinnedObject().ToInt64());
            return 0;
        }
    }
}
