// A COM server: component.comhost.dll makes its objects for native hosts, which know nothing of .NET.

using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;

namespace Hostmem;

[ComVisible(true), Guid("5d1c9a3e-7b60-4c52-9f0e-2a5f4f8f6b11"), InterfaceType(ComInterfaceType.InterfaceIsIUnknown)]
public interface IKeeper
{
    // Allocates and keeps that many megabytes; returns the megabytes kept so far, or -1 if memory ran out.
    [PreserveSig]
    int Keep(int megabytes);
}

[ComVisible(true), Guid("0e6f3d5b-8a14-4f7e-b2c6-91d7a04c3e22"), ClassInterface(ClassInterfaceType.None)]
public sealed class Keeper : IKeeper
{
    private readonly List<byte[]> _kept = new();

    public int Keep(int megabytes)
    {
        try
        {
            for (int i = 0; i < megabytes; i++)
                _kept.Add(new byte[1 << 20]);
            return _kept.Count;
        }
        catch (OutOfMemoryException)
        {
            return -1;
        }
    }
}
