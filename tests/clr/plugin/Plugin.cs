// The managed half of a native host: a library whose static methods are called from C, through the function pointers
// that hostfxr's load_assembly_and_get_function_pointer gives. Type name: "Hostmem.Plugin, plugin".

using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;

namespace Hostmem;

public static class Plugin
{
    private static readonly List<byte[]> s_kept = new();

    // The signature that hostfxr takes when no delegate type is named (component_entry_point_fn).
    public static int Entry(IntPtr argument, int size)
    {
        return argument == IntPtr.Zero ? -1 : size;
    }

    // Sorts a copy of `count` numbers and returns their median.
    [UnmanagedCallersOnly]
    public static unsafe int Median(int* numbers, int count)
    {
        if (numbers == null || count <= 0)
            return int.MinValue;
        int[] sorted = new ReadOnlySpan<int>(numbers, count).ToArray();
        Array.Sort(sorted);
        return sorted[count / 2];
    }

    // Allocates and keeps that many megabytes; returns the megabytes kept so far, or -1 if memory ran out.
    [UnmanagedCallersOnly]
    public static int Keep(int megabytes)
    {
        try
        {
            for (int i = 0; i < megabytes; i++)
                s_kept.Add(new byte[1 << 20]);
            return s_kept.Count;
        }
        catch (OutOfMemoryException)
        {
            return -1;
        }
    }

    // Lets everything go that Keep kept, and collects. Returns the megabytes still in use.
    [UnmanagedCallersOnly]
    public static int Drop()
    {
        s_kept.Clear();
        s_kept.TrimExcess();
        GC.Collect();
        return (int)(GC.GetTotalMemory(true) >> 20);
    }

    // The address of a pinned object in the GC's heap that lives as long as the process.
    [UnmanagedCallersOnly]
    public static IntPtr Object()
    {
        return GCHandle.Alloc(new byte[256], GCHandleType.Pinned).AddrOfPinnedObject();
    }
}
