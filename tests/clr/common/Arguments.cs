// Numbers on the command line, with what they are when left out.

using System.Globalization;

static class Arguments
{
    public static int Number(string[] args, int index, int fallback)
    {
        return args.Length > index ? int.Parse(args[index], CultureInfo.InvariantCulture) : fallback;
    }
}
