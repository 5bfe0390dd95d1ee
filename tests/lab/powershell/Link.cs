// Copyright (c) 2026, the aovpn.ikev2 authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// What a PowerShell of the lab has of a Windows host: a line to the lab's Python process, CIM objects, the registry provider, identities and names.
using System;
using System.Collections;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Management.Automation;
using System.Management.Automation.Provider;
using System.Management.Automation.Runspaces;
using System.Net;
using System.Net.Sockets;
using System.Reflection;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Lab
{
    // One line of JSON there, one back. A process has one line and serves one host at a time.
    public static class Link
    {
        public static string Host = Environment.GetEnvironmentVariable("LAB_HOST") ?? "";
        private static StreamReader reader;
        private static StreamWriter writer;

        private static void Open()
        {
            if (writer != null) { return; }
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            socket.Connect(new UnixDomainSocketEndPoint(Environment.GetEnvironmentVariable("LAB_SOCKET")));
            var stream = new NetworkStream(socket, true);
            reader = new StreamReader(stream, new UTF8Encoding(false));
            writer = new StreamWriter(stream, new UTF8Encoding(false)) { NewLine = "\n", AutoFlush = true };
        }

        public static string Read() { Open(); return reader.ReadLine(); }

        public static void Write(string line) { Open(); writer.WriteLine(line); }

        public static Reply Ask(string command, IDictionary parameters, string set, bool confirmed = true)
        {
            var message = new JsonObject
            {
                ["host"] = Host, ["command"] = command, ["parameters"] = Json.Plain(parameters), ["set"] = set, ["confirmed"] = confirmed,
            };
            Write(message.ToJsonString());
            var line = Read();
            if (line == null) { System.Diagnostics.Process.GetCurrentProcess().Kill(); }  // the lab is gone, or has this process die
            return new Reply(JsonDocument.Parse(line).RootElement);
        }
    }

    public class Reply
    {
        public List<object> Output = new List<object>();
        public ErrorRecord Error;

        public Reply(JsonElement answer)
        {
            foreach (var item in answer.GetProperty("output").EnumerateArray()) { Output.Add(Json.Value(item)); }
            if (answer.TryGetProperty("error", out var error) && error.ValueKind == JsonValueKind.Object)
            {
                var category = Enum.Parse<ErrorCategory>(error.GetProperty("category").GetString(), true);
                var target = error.TryGetProperty("target", out var value) ? Json.Value(value) : null;
                Error = new ErrorRecord(new CimException(error.GetProperty("message").GetString()), error.GetProperty("id").GetString(), category, target);
            }
        }

        // For the providers and types below, whose errors end what they are asked for.
        public Reply OrThrow() { return Error == null ? this : throw Error.Exception; }
    }

    public class CimException : RuntimeException
    {
        public CimException(string message) : base(message) { }
    }

    public static class Json
    {
        public static JsonNode Plain(object value)
        {
            var shown = value as PSObject;
            var it = shown == null ? value : shown.BaseObject;
            switch (it)
            {
                case null: return null;
                case string text: return JsonValue.Create(text);
                case bool yes: return JsonValue.Create(yes);
                case SwitchParameter on: return JsonValue.Create(on.IsPresent);
                case Enum word: return JsonValue.Create(word.ToString());
                case DateTime time: return Tagged("datetime", JsonValue.Create((time.Kind == DateTimeKind.Unspecified ? DateTime.SpecifyKind(time, DateTimeKind.Local) : time).ToString("o")));
                case TimeSpan span: return Tagged("timespan", JsonValue.Create(span.TotalSeconds));
                case byte or sbyte or short or ushort or int or uint or long: return JsonValue.Create(Convert.ToInt64(it));
                case ulong big: return JsonValue.Create(big);
                case float or double or decimal: return JsonValue.Create(Convert.ToDouble(it));
                case CimInstance cim: return cim.Plain(PSObject.AsPSObject(value));
                case IDictionary table:
                    var made = new JsonObject();
                    foreach (DictionaryEntry entry in table) { made[entry.Key.ToString()] = Plain(entry.Value); }
                    return made;
                case IEnumerable list:
                    var items = new JsonArray();
                    foreach (var item in list) { items.Add(Plain(item)); }
                    return items;
                case PSCustomObject:
                    var custom = new JsonObject();
                    foreach (var property in shown.Properties) { custom[property.Name] = Plain(property.Value); }
                    return custom;
                default: return JsonValue.Create(it.ToString());
            }
        }

        private static JsonObject Tagged(string tag, JsonNode value) { return new JsonObject { ["$"] = tag, ["v"] = value }; }

        public static object Value(JsonElement element)
        {
            switch (element.ValueKind)
            {
                case JsonValueKind.Null: return null;
                case JsonValueKind.True: return true;
                case JsonValueKind.False: return false;
                case JsonValueKind.String: return element.GetString();
                case JsonValueKind.Number:
                    return element.TryGetInt32(out var small) ? small : element.TryGetInt64(out var large) ? large : (object)element.GetDouble();
                case JsonValueKind.Array: return element.EnumerateArray().Select(Value).ToArray();
            }
            if (element.TryGetProperty("type", out var type)) { return CimInstance.Make(type.GetString(), element); }
            if (element.TryGetProperty("date", out var date))
            {
                return DateTimeOffset.Parse(date.GetString(), CultureInfo.InvariantCulture, DateTimeStyles.AssumeLocal).LocalDateTime;
            }
            if (element.TryGetProperty("$", out var tag))
            {
                var value = element.GetProperty("v");
                switch (tag.GetString())
                {
                    case "datetime": return DateTimeOffset.Parse(value.GetString(), CultureInfo.InvariantCulture, DateTimeStyles.AssumeLocal).LocalDateTime;
                    case "timespan": return TimeSpan.FromSeconds(value.GetDouble());
                    case "byte": return value.GetByte();
                    case "uint16": return value.GetUInt16();
                    case "uint32": return value.GetUInt32();
                    case "uint64": return value.GetUInt64();
                    case "int64": return value.GetInt64();
                    case "ip": return IPAddress.Parse(value.GetString());
                    default: throw new ArgumentException($"the lab sent a value of type {tag.GetString()}");
                }
            }
            if (element.TryGetProperty("timespan", out var span)) { return TimeSpan.FromSeconds(span.GetDouble()); }
            var table = new Hashtable(StringComparer.OrdinalIgnoreCase);
            foreach (var property in element.EnumerateObject()) { table[property.Name] = Value(property.Value); }
            return table;
        }
    }

    // Stands in for the real class, which needs a native library. Its properties are notes, as scripts see them; CimInstanceProperties has the raw values.
    public class CimInstance
    {
        public Dictionary<string, CimProperty> CimInstanceProperties { get; } = new Dictionary<string, CimProperty>(StringComparer.OrdinalIgnoreCase);
        private string name;

        public static PSObject Make(string type, JsonElement element)
        {
            var made = new CimInstance { name = type };
            var shown = PSObject.AsPSObject(made);
            var raw = element.TryGetProperty("cim", out var cim) ? cim : default;
            foreach (var property in element.GetProperty("properties").EnumerateObject())
            {
                var value = Json.Value(property.Value);
                shown.Properties.Add(new PSNoteProperty(property.Name, value));
                made.CimInstanceProperties[property.Name] = new CimProperty { Name = property.Name, Value = value };
            }
            if (raw.ValueKind == JsonValueKind.Object)
            {
                foreach (var property in raw.EnumerateObject())
                {
                    made.CimInstanceProperties[property.Name] = new CimProperty { Name = property.Name, Value = Json.Value(property.Value) };
                }
            }
            shown.TypeNames.Clear();
            var isCim = element.TryGetProperty("namespace", out var space) || new[] { "MSFT_", "Win32_", "PS_", "CIM_" }.Any(type.StartsWith);
            if (isCim)
            {
                var texts = new List<string> { $"#{type}" };
                if (element.TryGetProperty("bases", out var bases)) { texts.AddRange(bases.EnumerateArray().Select(item => $"#{item.GetString()}")); }
                texts.Add("");
                if (space.ValueKind == JsonValueKind.String) { texts.Insert(0, $"#{space.GetString()}/{type}"); }
                foreach (var text in texts) { shown.TypeNames.Add("Microsoft.Management.Infrastructure.CimInstance" + text); }
            }
            else
            {
                shown.TypeNames.Add(type);
            }
            shown.TypeNames.Add("System.Object");
            return shown;
        }

        public JsonObject Plain(PSObject shown)
        {
            var properties = new JsonObject();
            foreach (var property in shown.Properties.Where(property => property is PSNoteProperty)) { properties[property.Name] = Json.Plain(property.Value); }
            return new JsonObject { ["type"] = name, ["properties"] = properties };
        }

        public override string ToString() { return name; }
    }

    public class CimProperty
    {
        public string Name { get; set; }
        public object Value { get; set; }
    }

    // Identity and names, under the type names of Windows

    public class WindowsIdentity
    {
        public string Name { get; private set; }
        public bool Administrator { get; private set; }

        public static WindowsIdentity GetCurrent()
        {
            var answer = (Hashtable)Link.Ask("Identity", new Hashtable(), "").OrThrow().Output[0];
            return new WindowsIdentity { Name = (string)answer["name"], Administrator = (bool)answer["administrator"] };
        }
    }

    public class WindowsPrincipal
    {
        private readonly WindowsIdentity identity;

        public WindowsPrincipal(WindowsIdentity identity) { this.identity = identity; }

        public bool IsInRole(System.Security.Principal.WindowsBuiltInRole role)
        {
            return role == System.Security.Principal.WindowsBuiltInRole.Administrator ? identity.Administrator : throw new NotSupportedException("the lab knows administrators only");
        }
    }

    public static class Dns
    {
        public static IPAddress[] GetHostAddresses(string name)
        {
            var reply = Link.Ask("Dns", new Hashtable { { "name", name } }, "");
            if (reply.Error != null) { throw new SocketException((int)SocketError.HostNotFound); }
            return reply.Output.Select(address => IPAddress.Parse((string)address)).ToArray();
        }
    }

    // Stands in for the class of that name: a session has the registry, too.
    public static class Session
    {
        private static readonly TypeTable types = TypeTable.LoadDefaultTypeFiles();
        private static readonly FormatTable formats = FormatTable.LoadDefaultFormatFiles();
        private static Hashtable functions;  // what replaces cmdlets that Linux has, too: name and text

        // Without what Windows has more. What PowerShell works out about types and formats is kept for the whole process: a session with types of its own makes all
        // sessions work it out again, and win_powershell looks at 45 methods of a list. PowerShell's own cmdlets are there from the start: to find and import their
        // modules takes each session longer than all the rest of its start.
        public static InitialSessionState Plain()
        {
            var made = InitialSessionState.CreateDefault();
            made.Types.Clear();
            made.Types.Add(new SessionStateTypeEntry(types));
            made.Formats.Clear();
            made.Formats.Add(new SessionStateFormatEntry(formats));
            return made;
        }

        public static InitialSessionState CreateDefault2()
        {
            var made = Plain();
            made.Providers.Add(new SessionStateProviderEntry("Registry", typeof(RegistryProvider), null));
            foreach (DictionaryEntry function in functions) { made.Commands.Add(new SessionStateFunctionEntry((string)function.Key, (string)function.Value)); }
            return made;
        }

        public static void Install(Hashtable replacements)
        {
            functions = replacements;
            var accelerators = typeof(PSObject).Assembly.GetType("System.Management.Automation.TypeAccelerators");
            var add = accelerators.GetMethod("Add");
            // An accelerator that is built in cannot be replaced by Add.
            var builtIn = accelerators.GetField("builtinTypeAccelerators", BindingFlags.NonPublic | BindingFlags.Static);
            ((Dictionary<string, Type>)builtIn.GetValue(null)).Remove("initialsessionstate");
            var names = new Dictionary<string, Type>
            {
                { "initialsessionstate", typeof(Session) }, { "System.Net.Dns", typeof(Dns) }, { "Net.Dns", typeof(Dns) },
                { "Security.Principal.WindowsIdentity", typeof(WindowsIdentity) }, { "System.Security.Principal.WindowsIdentity", typeof(WindowsIdentity) },
                { "Security.Principal.WindowsPrincipal", typeof(WindowsPrincipal) }, { "System.Security.Principal.WindowsPrincipal", typeof(WindowsPrincipal) },
            };
            foreach (var pair in names) { add.Invoke(null, new object[] { pair.Key, pair.Value }); }
        }
    }

    // The registry

    public class RegistryKey
    {
        private readonly Dictionary<string, object> values = new Dictionary<string, object>(StringComparer.OrdinalIgnoreCase);
        public string Name { get; }
        public string[] Property { get { return values.Keys.ToArray(); } }
        public string[] SubKeys { get; }

        public RegistryKey(Hashtable answer)
        {
            Name = (string)answer["name"];
            SubKeys = ((object[])answer["keys"]).Cast<string>().ToArray();
            foreach (Hashtable value in (object[])answer["values"])
            {
                var data = value["data"];
                values[(string)value["name"]] = data is object[] list ? list.Cast<string>().ToArray() : data;
            }
        }

        public string[] GetSubKeyNames() { return SubKeys; }

        public string[] GetValueNames() { return Property; }

        public object GetValue(string name) { return GetValue(name, null); }

        public object GetValue(string name, object other) { return values.TryGetValue(name ?? "", out var value) ? value : other; }
    }

    [CmdletProvider("Registry", ProviderCapabilities.ShouldProcess)]
    public class RegistryProvider : NavigationCmdletProvider, IPropertyCmdletProvider, IDynamicPropertyCmdletProvider
    {
        // For one path, PowerShell asks eight times for each key on the way, and makes a provider for each question. Windows has the answer at hand.
        private const int Moment = 5;  // in milliseconds
        private static readonly Dictionary<(string, string), bool> existing = new Dictionary<(string, string), bool>();
        private static readonly System.Diagnostics.Stopwatch moment = new System.Diagnostics.Stopwatch();

        private static void Forget()
        {
            existing.Clear();
            moment.Restart();
        }

        private static readonly PropertyInfo isAutoMounted = typeof(PSDriveInfo).GetProperty("IsAutoMounted", BindingFlags.NonPublic | BindingFlags.Instance);

        protected override System.Collections.ObjectModel.Collection<PSDriveInfo> InitializeDefaultDrives()
        {
            // A drive that has been mounted by itself is looked up in the mount table for every path, to see whether it is still there.
            foreach (var drive in SessionState.Drive.GetAll()) { isAutoMounted?.SetValue(drive, false); }
            return new System.Collections.ObjectModel.Collection<PSDriveInfo> { new PSDriveInfo("HKLM", ProviderInfo, @"HKEY_LOCAL_MACHINE", "", null) };
        }

        private Reply Ask(string command, string path, IDictionary more = null)
        {
            if (command != "Exists") { Forget(); }
            var parameters = new Hashtable(more ?? new Hashtable()) { ["path"] = path.Replace('/', '\\') };
            return Link.Ask("Registry." + command, parameters, "");
        }

        // The answer, or nothing where the error has been written.
        private List<object> Answer(Reply reply)
        {
            if (reply.Error == null) { return reply.Output; }
            WriteError(reply.Error);
            return new List<object>();
        }

        protected override bool IsValidPath(string path) { return true; }

        protected override bool ItemExists(string path)
        {
            if (moment.ElapsedMilliseconds > Moment) { Forget(); }
            var key = (Link.Host, path);
            if (!existing.TryGetValue(key, out var exists)) { existing[key] = exists = (bool)Ask("Exists", path).OrThrow().Output[0]; }
            return exists;
        }

        protected override bool IsItemContainer(string path) { return true; }

        protected override bool HasChildItems(string path) { return true; }

        protected override void GetItem(string path)
        {
            foreach (Hashtable answer in Answer(Ask("Get", path))) { WriteItemObject(new RegistryKey(answer), path, true); }
        }

        protected override void GetChildItems(string path, bool recurse)
        {
            foreach (Hashtable answer in Answer(Ask("Get", path)))
            {
                foreach (var name in new RegistryKey(answer).SubKeys) { GetItem(MakePath(path, name)); }
            }
        }

        protected override void NewItem(string path, string type, object value)
        {
            if (!ShouldProcess(path, "New Item")) { return; }
            foreach (Hashtable answer in Answer(Ask("New", path, new Hashtable { { "force", Force.IsPresent } }))) { WriteItemObject(new RegistryKey(answer), path, true); }
        }

        protected override void RemoveItem(string path, bool recurse)
        {
            if (ShouldProcess(path, "Remove Item")) { Answer(Ask("Remove", path)); }
        }

        public void GetProperty(string path, System.Collections.ObjectModel.Collection<string> wanted)
        {
            foreach (Hashtable answer in Answer(Ask("Get", path)))
            {
                var key = new RegistryKey(answer);
                var shown = new PSObject();
                var names = wanted == null || wanted.Count == 0 ? key.Property : wanted.ToArray();
                foreach (var name in names)
                {
                    if (!key.Property.Contains(name, StringComparer.OrdinalIgnoreCase))
                    {
                        var missing = new PSArgumentException($"Property {name} does not exist at path {key.Name}.");
                        WriteError(new ErrorRecord(missing, "System.Management.Automation.PSArgumentException", ErrorCategory.InvalidArgument, null));
                        return;
                    }
                    shown.Properties.Add(new PSNoteProperty(name, key.GetValue(name)));
                }
                WritePropertyObject(shown, path);
            }
        }

        public void NewProperty(string path, string name, string type, object value)
        {
            if (!ShouldProcess(path, "New Property")) { return; }
            var given = new Hashtable { { "name", name }, { "type", type ?? "String" }, { "value", value }, { "force", Force.IsPresent } };
            foreach (var _ in Answer(Ask("Set", path, given))) { GetProperty(path, new System.Collections.ObjectModel.Collection<string> { name }); }
        }

        public void SetProperty(string path, PSObject values)
        {
            foreach (var property in values.Properties)
            {
                if (ShouldProcess(path, "Set Property")) { Answer(Ask("Set", path, new Hashtable { { "name", property.Name }, { "value", property.Value }, { "force", true } })); }
            }
        }

        public void RemoveProperty(string path, string name)
        {
            if (ShouldProcess(path, "Remove Property")) { Answer(Ask("RemoveValue", path, new Hashtable { { "name", name } })); }
        }

        public object GetPropertyDynamicParameters(string path, System.Collections.ObjectModel.Collection<string> names) { return null; }
        public object SetPropertyDynamicParameters(string path, PSObject values) { return null; }
        public object ClearPropertyDynamicParameters(string path, System.Collections.ObjectModel.Collection<string> names) { return null; }
        public object NewPropertyDynamicParameters(string path, string name, string type, object value) { return null; }
        public object RemovePropertyDynamicParameters(string path, string name) { return null; }
        public object RenamePropertyDynamicParameters(string path, string source, string target) { return null; }
        public object CopyPropertyDynamicParameters(string path, string source, string to, string target) { return null; }
        public object MovePropertyDynamicParameters(string path, string source, string to, string target) { return null; }
        public void ClearProperty(string path, System.Collections.ObjectModel.Collection<string> names) { throw new NotSupportedException("the lab's registry does not clear values"); }
        public void RenameProperty(string path, string source, string target) { throw new NotSupportedException("the lab's registry does not rename values"); }
        public void CopyProperty(string path, string source, string to, string target) { throw new NotSupportedException("the lab's registry does not copy values"); }
        public void MoveProperty(string path, string source, string to, string target) { throw new NotSupportedException("the lab's registry does not move values"); }
    }
}
