// What Check.cs needs of mscorlib, declared: a compiler needs no more of an assembly than its name and the signatures of
// what is called. Compiled to a reference of that name, version and key; the runtime brings the real one. Version
// 2.0.0.0 with metadata v2.0.50727 is taken by each of .NET Framework 2.0 to 4.8.1 and .NET 8 and later.

using System.Reflection;

[assembly: AssemblyVersion("2.0.0.0")]

namespace System
{
    public class Object
    {
        public virtual bool Equals(object other) { throw null; }
        public virtual int GetHashCode() { throw null; }
    }
    public abstract class ValueType { }
    public abstract class Enum : ValueType { }
    public abstract class Array { }
    public struct Void { }
    public struct Boolean { }
    public struct Byte { }
    public struct Char { }
    public struct Int32
    {
        public static int Parse(string text) { throw null; }
    }
    public struct Int64 { }
    public struct IntPtr
    {
        public long ToInt64() { throw null; }
    }
    public sealed class String
    {
        public int Length { get { throw null; } }
        public int IndexOf(char what) { throw null; }
        public string Substring(int start) { throw null; }
        public string Substring(int start, int length) { throw null; }
        public static bool operator ==(string a, string b) { throw null; }
        public static bool operator !=(string a, string b) { throw null; }
        public override bool Equals(object other) { throw null; }
        public override int GetHashCode() { throw null; }
    }
    public class Exception { }
    public class SystemException : Exception { }
    public class OutOfMemoryException : SystemException { }
    public class Attribute { }
    public enum AttributeTargets { All = 0x7FFF }
    public sealed class AttributeUsageAttribute : Attribute
    {
        public AttributeUsageAttribute(AttributeTargets targets) { }
        public bool AllowMultiple { get { throw null; } set { } }
        public bool Inherited { get { throw null; } set { } }
    }
    public static class GC
    {
        public static void Collect() { throw null; }
        public static int CollectionCount(int generation) { throw null; }
    }
}

namespace System.Reflection
{
    public sealed class AssemblyVersionAttribute : Attribute
    {
        public AssemblyVersionAttribute(string version) { }
    }
}

namespace System.Runtime.InteropServices
{
    public enum GCHandleType { Weak, WeakTrackResurrection, Normal, Pinned }
    public struct GCHandle
    {
        public static GCHandle Alloc(object value, GCHandleType type) { throw null; }
        public IntPtr AddrOfPinnedObject() { throw null; }
    }
    public static class Marshal
    {
        public static string PtrToStringUni(IntPtr text) { throw null; }
        public static void WriteInt64(IntPtr at, long value) { throw null; }
    }
}
