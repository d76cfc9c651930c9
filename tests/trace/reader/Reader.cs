// reader TRACE.nettrace [ETLX]: what the TraceEvent library finds in it, as JSON on stdout. Not a line of hostmem's own code
// takes part. With ETLX, a file to be made: also what the library makes of stacks and images, as PerfView does. Ends with 1
// and one line when the library will not read the file to its end.
using System.Text.Json;
using Microsoft.Diagnostics.Tracing;
using Microsoft.Diagnostics.Tracing.Etlx;

if (args.Length is not (1 or 2))
{
    Console.Error.WriteLine("usage: reader TRACE.nettrace [ETLX]");
    return 2;
}

// By event: how many; and by event and field: the sum modulo 2^64, so that no byte of a figure can change unseen, and the
// figure of the last such event.
var counts = new SortedDictionary<string, long>();
var sums = new SortedDictionary<string, ulong>();
var latest = new SortedDictionary<string, ulong>();
var texts = new SortedDictionary<string, SortedSet<string>>();
var failed = new SortedDictionary<string, long>();
var calls = new SortedDictionary<string, long[]>();
var threads = new HashSet<int>();
ulong times = 0, threadIds = 0, firstAddress = 0;
double last = 0;
bool sorted = true;
string? problem = null;
int lost = 0;
Dictionary<string, string> header = [];

void Add(string key, ulong figure) => sums[key] = sums.GetValueOrDefault(key) + figure;

ulong Figure(object value) => value switch
{
    ulong u => u,
    uint u => u,
    byte b => b,
    _ => throw new FormatException($"a field of type {value.GetType()}")
};

void Take(TraceEvent e)
{
    counts[e.EventName] = counts.GetValueOrDefault(e.EventName) + 1;
    sorted &= e.TimeStampRelativeMSec >= last;
    last = e.TimeStampRelativeMSec;
    threads.Add(e.ThreadID);
    threadIds += (ulong)e.ThreadID;
    times += (ulong)e.TimeStamp.Ticks;
    if (firstAddress == 0 && e.EventName == "Alloc")
        firstAddress = (ulong)e.PayloadByName("Address");
    for (int i = 0; i < e.PayloadNames.Length; i++)
    {
        string key = $"{e.EventName}.{e.PayloadNames[i]}";
        object value = e.PayloadValue(i);
        if (value is not string text)
            Add(key, latest[key] = Figure(value));
        else if (texts.TryGetValue(key, out var set))
            set.Add(text);
        else
            texts[key] = [text];
    }
    if (e.PayloadByName("Result") is uint result && result != 0)
        failed[e.EventName] = failed.GetValueOrDefault(e.EventName) + 1;
    if (e.EventName == "Calls")
        calls[(string)e.PayloadByName("Method")] =
            [(long)(ulong)e.PayloadByName("Count"), (long)(ulong)e.PayloadByName("Failed")];
}

try
{
    using var source = new EventPipeEventSource(args[0]);
    source.Dynamic.All += e =>
    {
        if (e.ProviderName == "Hostmem")
            Take(e);
    };
    source.Process();
    lost = source.EventsLost;
    header = source.HeaderKeyValuePairs;
}
catch (Exception e)
{
    problem = $"{e.GetType().Name}: {e.Message}";
}

// Events that have a stack, and their frames by the image that the library finds them in; images with their PDBs.
long stacks = 0;
var frames = new SortedDictionary<string, long>();
var images = new SortedDictionary<string, string>();

void TakeLog(TraceLog log)
{
    foreach (TraceEvent e in log.Events)
    {
        if (e.ProviderName != "Hostmem" || e.CallStack() is not TraceCallStack stack)
            continue;
        stacks++;
        for (TraceCallStack? frame = stack; frame != null; frame = frame.Caller)
        {
            string image = frame.CodeAddress.ModuleFile is TraceModuleFile file ? Path.GetFileName(file.FilePath.Replace('\\', '/')) : "?";
            frames[image] = frames.GetValueOrDefault(image) + 1;
        }
    }
    foreach (TraceModuleFile file in log.ModuleFiles)
        images[Path.GetFileName(file.FilePath.Replace('\\', '/'))] = $"{file.PdbName}|{file.PdbSignature:N}|{file.PdbAge}";
}

if (problem == null && args.Length == 2)
{
    using var log = new TraceLog(TraceLog.CreateFromEventPipeDataFile(args[0], args[1]));
    TakeLog(log);
}

Console.WriteLine(JsonSerializer.Serialize(new
{
    stacks,
    frames,
    images,
    header,
    counts,
    failed,
    calls,
    sums,
    latest,
    texts,
    lost,
    threads = threads.Count,
    threadIds,
    times,
    firstAddress = firstAddress.ToString("x16"),
    sorted,
    milliseconds = Math.Round(last, 3)
}, new JsonSerializerOptions { WriteIndented = true }));
if (problem != null)
    Console.Error.WriteLine($"reader: {args[0]}: {problem}");
return problem == null ? 0 : 1;
