// An assembly of the .NET Framework kind: no runtimeconfig.json, no reference to .NET, metadata version
// v4.0.30319. Only its headers are read, so it brings the few core types that a compiler insists on, and
// needs no reference assembly.
namespace System
{
    public class Object { }
    public abstract class ValueType { }
    public abstract class Enum : ValueType { }
    public struct Void { }
    public struct Boolean { }
    public struct Int32 { }
    public sealed class String { }
    public class Attribute { }
    public enum AttributeTargets { All }
    public sealed class AttributeUsageAttribute : Attribute
    {
        public AttributeUsageAttribute(AttributeTargets targets) { }
        public bool AllowMultiple { get { return false; } set { } }
        public bool Inherited { get { return false; } set { } }
    }
}

namespace Sample
{
    public static class Entry
    {
        public static int Run(string argument)
        {
            return 7;
        }
    }
}
