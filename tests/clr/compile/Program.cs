// compile [classes]
//
// A compiler run: Roslyn compiles that many generated classes into a library in memory, against the core library that
// it runs on itself. The source depends on the argument only and the compilation is deterministic, so the SHA-256 of
// what it emits is the same in every run on one runtime version.

using System;
using System.Collections.Generic;
using System.IO;
using System.Security.Cryptography;
using System.Text;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

static class Program
{
    private static string Source(int number)
    {
        var text = new StringBuilder();
        text.AppendLine("using System; using System.Collections.Generic; using System.Linq;");
        text.AppendLine($"namespace Generated.N{number % 10} {{");
        text.AppendLine($"public interface IShape{number} {{ double Area {{ get; }} string Name(int depth); }}");
        text.AppendLine($"public sealed record Part{number}(int Id, string Text, double Weight);");
        text.AppendLine($"public class Shape{number}<T> : IShape{number} where T : IComparable<T> {{");
        text.AppendLine("    private readonly Dictionary<string, List<T>> _items = new();");
        text.AppendLine($"    public double Area => _items.Values.Sum(list => list.Count * {number}.5);");
        text.AppendLine($"    public string Name(int depth) => depth switch {{ 0 => \"shape{number}\", "
                        + "< 5 => $\"small {depth:x}\", _ => string.Join(\",\", _items.Keys.OrderBy(k => k)) };");
        for (int method = 0; method < 12; method++)
        {
            int a = (number * 7919 + method * 104729) % 1000;
            text.AppendLine($"    public IEnumerable<Part{number}> Select{method}(IEnumerable<T> source, int limit) {{");
            text.AppendLine($"        int count = {a};");
            text.AppendLine("        foreach (T item in source.Where(x => x.CompareTo(default!) > 0).Take(limit)) {");
            text.AppendLine("            if (!_items.TryGetValue(item.ToString()!, out var list))");
            text.AppendLine("                _items[item.ToString()!] = list = new List<T>();");
            text.AppendLine("            list.Add(item);");
            text.AppendLine($"            for (int i = 0; i < {method + 3}; i++) count = unchecked(count * 31 + i ^ {a});");
            text.AppendLine($"            yield return new Part{number}(count, $\"{{item}}-{method}\", count / {a + 1}.0);");
            text.AppendLine("        }");
            text.AppendLine("    }");
        }
        text.AppendLine("} }");
        return text.ToString();
    }

    private static int Main(string[] args)
    {
        int classes = Arguments.Number(args, 0, 60);

        HeapObject.Show();
        long characters = 0;
        var trees = new List<SyntaxTree>();
        for (int i = 0; i < classes; i++)
        {
            string source = Source(i);
            characters += source.Length;
            trees.Add(CSharpSyntaxTree.ParseText(source, path: $"Shape{i}.cs"));
        }
        Console.WriteLine($"source {classes} files, {characters} characters");

        var references = new List<MetadataReference>();
        foreach (string name in new[] { "System.Private.CoreLib", "System.Runtime", "System.Linq", "System.Collections" })
            references.Add(MetadataReference.CreateFromFile(
                Path.Combine(Path.GetDirectoryName(typeof(object).Assembly.Location)!, name + ".dll")));
        var compilation = CSharpCompilation.Create(
            "Generated", trees, references,
            new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, deterministic: true,
                                         optimizationLevel: OptimizationLevel.Release));

        using var output = new MemoryStream();
        var result = compilation.Emit(output);
        if (!result.Success)
        {
            foreach (Diagnostic diagnostic in result.Diagnostics)
                Console.Error.WriteLine(diagnostic);
            return 1;
        }
        Console.WriteLine($"emitted {output.Length} bytes");
        Console.WriteLine("sha256 " + Convert.ToHexString(SHA256.HashData(output.ToArray())).ToLowerInvariant());
        Console.WriteLine("done");
        return 0;
    }
}
