// What every test program can show of itself: with HOSTMEM_SHOW_OBJECT=1 in the environment it prints, as its first
// line, the address of an object in the GC's heap. The object is pinned and stays alive to the end of the process, so
// that whoever ran the program can ask whose memory the address lies in.

using System;
using System.Globalization;
using System.Runtime.InteropServices;

static class HeapObject
{
    private static GCHandle s_handle;

    public static void Show()
    {
        if (Environment.GetEnvironmentVariable("HOSTMEM_SHOW_OBJECT") != "1")
            return;
        s_handle = GCHandle.Alloc(new byte[256], GCHandleType.Pinned);
        long address = s_handle.AddrOfPinnedObject().ToInt64();
        Console.WriteLine("object 0x" + address.ToString("x16", CultureInfo.InvariantCulture));
    }
}
