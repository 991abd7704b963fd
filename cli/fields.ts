/**
 * List fields by resource: title, kind, default columns, and how a field's value is found in a row. Rows carry
 * Ganeti's field names; `be/vcpus`, `disk.size/0` and the like are looked up in their dictionaries and lists.
 */
import { CliError, exit_status } from './exit-status.ts';
import { formatSize, type SizeUnit } from './sizes.ts';

export type Row = Readonly<Record<string, unknown>>;
export type ListResource = 'instance' | 'node' | 'group' | 'job' | 'os' | 'lock';
type FieldKind = 'text' | 'number' | 'size' | 'bool' | 'time' | 'other';

interface FieldSpec {
  readonly title: string;
  readonly kind: FieldKind;
}

export const default_fields: Readonly<Record<ListResource, readonly string[]>> = {
  instance: ['name', 'hypervisor', 'os', 'pnode', 'status', 'oper_ram'],
  node: ['name', 'dtotal', 'dfree', 'mtotal', 'mnode', 'mfree', 'pinst_cnt', 'sinst_cnt'],
  group: ['name', 'node_cnt', 'pinst_cnt', 'alloc_policy', 'ndparams'],
  job: ['id', 'status', 'summary'],
  os: ['name'],
  lock: ['name', 'mode', 'owner', 'pending'],
};

/** `name:Title` or `name:Title:kind`, space-free; one line each kind of object. */
const tables: Readonly<Record<ListResource, string>> = {
  instance: `name:Instance uuid:UUID ctime:CTime:time mtime:MTime:time serial_no:SerialNo:number tags:Tags:other
    admin_state:InstanceState admin_state_source:InstanceStateSource admin_up:Autostart:bool console:Console:other
    hypervisor:Hypervisor network_port:Network_port:number oper_ram:Memory:size oper_state:Running:bool
    oper_vcpus:VCPUs:number os:OS status:Status pnode:Primary_node pnode.group:PrimaryNodeGroup snodes:Secondary_Nodes:other
    vcpus:VCPUs:number disk_template:Disk_template disk_usage:DiskUsage:size disk.count:Disks:number
    disk.sizes:Disk_sizes:other disk.names:Disk_names:other disk.uuids:Disk_UUIDs:other nic.count:NICs:number
    nic.macs:NIC_MACs:other nic.ips:NIC_IPs:other nic.modes:NIC_modes:other nic.links:NIC_links:other
    beparams:BackendParameters:other hvparams:HypervisorParameters:other osparams:OpSysParameters:other
    custom_beparams:CustomBackendParameters:other custom_hvparams:CustomHypervisorParameters:other
    custom_osparams:CustomOpSysParameters:other custom_nicparams:CustomNicParameters:other
    epoch:Epoch:number why:Why evidence:Evidence`,
  node: `name:Node uuid:UUID ctime:CTime:time mtime:MTime:time serial_no:SerialNo:number tags:Tags:other
    dtotal:DTotal:size dfree:DFree:size mtotal:MTotal:size mnode:MNode:size mfree:MFree:size
    pinst_cnt:Pinst:number sinst_cnt:Sinst:number pinst_list:PriInstances:other sinst_list:SecInstances:other
    pip:PrimaryIP sip:SecondaryIP ctotal:CTotal:number cnodes:CNodes:number csockets:CSockets:number cnos:CNOs:number
    bootid:BootID role:Role group:Group group.uuid:GroupUUID offline:Offline:bool drained:Drained:bool
    master:IsMaster:bool master_candidate:MasterC:bool master_capable:MasterCapable:bool vm_capable:VMCapable:bool
    ndparams:NodeParameters:other custom_ndparams:CustomNodeParameters:other powered:Powered:bool
    health:Health health_since:HealthSince:time health_reason:HealthReason member:Member:number peer_id:PeerID
    boot:Boot:number leader:Leader:bool voter:Voter:bool applied:Applied:number lag:Lag:number watchdog:Watchdog addresses:Addresses:other`,
  group: `name:Group uuid:UUID ctime:CTime:time mtime:MTime:time serial_no:SerialNo:number tags:Tags:other
    alloc_policy:AllocPolicy node_cnt:Nodes:number node_list:NodeList:other pinst_cnt:Instances:number
    pinst_list:InstanceList:other ndparams:NDParams:other diskparams:DiskParameters:other
    custom_ndparams:CustomNDParams:other custom_diskparams:CustomDiskParameters:other
    ipolicy:InstancePolicy:other custom_ipolicy:CustomInstancePolicy:other`,
  job: `id:ID:number status:Status summary:Summary priority:Priority:number archived:Archived:bool ops:OpCodes:other
    opresult:OpCode_result:other opstatus:OpCode_status:other oplog:OpCode_log:other opstart:OpCode_start:other
    opexec:OpCode_exec:other opend:OpCode_end:other oppriority:OpCode_prio:other
    received_ts:Received:time start_ts:Start:time end_ts:End:time`,
  os: `name:Name variants:Variants:other parameters:Parameters:other api_versions:API_versions:other
    hidden:Hidden:bool blacklisted:Blacklisted:bool valid:Valid:bool node_status:NodeStatus:other`,
  lock: 'name:Name mode:Mode owner:Owner:other pending:Pending:other',
};

const parsed = new Map<ListResource, ReadonlyMap<string, FieldSpec>>();

function fieldsOf(resource: ListResource): ReadonlyMap<string, FieldSpec> {
  const known = parsed.get(resource);
  if (known) return known;
  const specs = new Map<string, FieldSpec>();
  for (const word of tables[resource].split(/\s+/)) {
    const [name = '', title = '', kind = 'text'] = word.split(':');
    specs.set(name, { title, kind: kind as FieldKind });
  }
  parsed.set(resource, specs);
  return specs;
}

/** All plain field names, for completion and `list-fields`. */
export function fieldNames(resource: ListResource): readonly string[] {
  return [...fieldsOf(resource).keys()];
}

/** Title and kind of a field. Throws (status 14) when there is none of that name. */
export function fieldSpec(resource: ListResource, name: string): FieldSpec {
  const spec = fieldsOf(resource).get(name) ?? indexedSpec(resource, name);
  if (spec) return spec;
  const text = `"${name}" is no field of ${resource === 'os' || resource === 'instance' ? 'an' : 'a'} ${resource}`;
  throw new CliError(text, `skein ${resource} list-fields`, exit_status.unknown_field);
}

function indexedSpec(resource: ListResource, name: string): FieldSpec | null {
  if (resource === 'node' && /^ndp\/[a-z_]+$/.test(name)) return { title: name, kind: 'other' };
  if (resource !== 'instance') return null;
  if (/^be\/(maxmem|minmem|memory)$/.test(name)) return { title: `ConfigM${name.slice(4)}`, kind: 'size' };
  if (/^be\/[a-z_]+$/.test(name) || /^hv\/[a-z0-9_]+$/.test(name)) return { title: name, kind: 'other' };
  if (/^disk\.size\/\d+$/.test(name)) return { title: name.replace('disk.size', 'Disk'), kind: 'size' };
  if (/^(disk\.(name|uuid)|nic\.(mac|ip|mode|link|vlan|bridge|network|name|uuid))\/\d+$/.test(name)) {
    return { title: name, kind: 'text' };
  }
  return null;
}

/** Fields for `-o`: `a,b` replaces the defaults, `+a,b` adds to them. */
export function selectFields(resource: ListResource, option: string | undefined): readonly string[] {
  const defaults = default_fields[resource];
  if (option === undefined || option === '') return defaults;
  const names = option
    .replace(/^\+/, '')
    .split(',')
    .filter((name) => name !== '');
  const fields = option.startsWith('+') ? [...defaults, ...names] : names;
  for (const name of fields) fieldSpec(resource, name);
  return fields;
}

function dictionary(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

/** The fields of a row that {@link fieldValue} reads for a column. */
export function sourceFields(name: string): readonly string[] {
  const slash = name.indexOf('/');
  if (slash < 0) return name === 'vcpus' ? [name, 'beparams'] : [name];
  const head = name.slice(0, slash);
  const dictionaries: Record<string, string> = { be: 'beparams', hv: 'hvparams', ndp: 'ndparams' };
  return [name, dictionaries[head] ?? `${head}s`];
}

/** The value of a field in a row; undefined: the row has no data for it. */
export function fieldValue(row: Row, name: string): unknown {
  if (Object.hasOwn(row, name)) return row[name];
  const slash = name.indexOf('/');
  if (slash < 0) return name === 'vcpus' ? dictionary(row.beparams).vcpus : undefined;
  const [head, tail] = [name.slice(0, slash), name.slice(slash + 1)];
  switch (head) {
    case 'be':
      return dictionary(row.beparams)[tail === 'memory' ? 'maxmem' : tail];
    case 'hv':
      return dictionary(row.hvparams)[tail];
    case 'ndp':
      return dictionary(row.ndparams)[tail];
    default: {
      const list = row[`${head}s`];
      return Array.isArray(list) ? (list as unknown[])[Number(tail)] : undefined;
    }
  }
}

/** `2026-11-22 15:41:06`, in UTC so that hosts' outputs compare; takes seconds or Ganeti's [seconds, microseconds]. */
export function formatTime(value: unknown): string {
  const seconds = Array.isArray(value) ? Number(value[0]) + Number(value[1]) / 1e6 : Number(value);
  if (value === null || value === undefined || !Number.isFinite(seconds)) return '-';
  return new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ');
}

export interface CellOptions {
  readonly unit: SizeUnit;
  /** Sizes as bare numbers (with --separator). */
  readonly raw: boolean;
}

/** One cell: `?` no data, `-` not available, `*` its node is offline. */
export function formatCell(resource: ListResource, name: string, row: Row, options: CellOptions): string {
  const value = fieldValue(row, name);
  const { kind } = fieldSpec(resource, name);
  if (value === undefined) return '?';
  if (value === null) {
    const live =
      name === 'oper_ram' ||
      name === 'oper_vcpus' ||
      name === 'oper_state' ||
      /^[dmc](total|free|node)$/.test(name);
    if (!live) return '-';
    if (row.offline === true || row.status === 'ERROR_nodeoffline') return '*';
    return resource === 'instance' && /^(ADMIN|USER|ERROR_down)/.test(String(row.status)) ? '-' : '?';
  }
  switch (kind) {
    case 'size':
      return typeof value === 'number' ? formatSize(value, options.raw ? 'm' : options.unit) : String(value);
    case 'bool':
      return value === true ? 'Y' : value === false ? 'N' : String(value);
    case 'time':
      return formatTime(value);
    case 'number':
    case 'text':
    case 'other':
      return formatOther(value);
  }
}

function formatOther(value: unknown): string {
  if (value === null || value === undefined) return '-';
  if (Array.isArray(value)) return value.map(formatOther).join(',');
  if (typeof value === 'object') {
    return Object.entries(value)
      .map(([key, item]) => `${key}=${formatOther(item)}`)
      .join(', ');
  }
  return String(value);
}
