/** `skein node`: members of the cluster. */
import type { OpInput } from '../src/config/model.ts';
import { confirm } from './confirm.ts';
import { usageError } from './exit-status.ts';
import { formatTime } from './fields.ts';
import { printInfo } from './info.ts';
import { parseKeyValues, parseYesNo } from './key-values.ts';
import { addListOptions, type ListOptions, printFields, printList } from './list.ts';
import { describeEvacuate, type EvacuateOptions, evacuateCommand } from './node-evacuate.ts';
import type { Register } from './register.ts';
import { parseDuration } from './sizes.ts';
import { addSubmitOptions, type SubmitOptions, submitJobs } from './submit.ts';

interface AddOptions {
  readonly nodeGroup?: string;
  readonly masterCapable: string;
  readonly vmCapable: string;
  readonly expires: string;
}

interface ModifyOptions extends SubmitOptions {
  readonly force?: boolean;
  readonly masterCandidate?: string;
  readonly drained?: string;
  readonly offline?: string;
  readonly masterCapable?: string;
  readonly vmCapable?: string;
  readonly secondaryIp?: string;
  readonly nodeParameters?: string;
  readonly autoPromote?: boolean;
}

export function nodeModifyOp(name: string, options: ModifyOptions): OpInput {
  const op: Record<string, unknown> & { OP_ID: string } = { OP_ID: 'OP_NODE_SET_PARAMS', node_name: name };
  const keys = Object.keys(op).length;
  const flag = (key: string, text: string | undefined, option: string): void => {
    if (text !== undefined) op[key] = parseYesNo(text, option);
  };
  flag('master_candidate', options.masterCandidate, '-C');
  flag('drained', options.drained, '-D');
  flag('offline', options.offline, '-O');
  flag('master_capable', options.masterCapable, '--master-capable');
  flag('vm_capable', options.vmCapable, '--vm-capable');
  if (options.secondaryIp !== undefined) op.secondary_ip = options.secondaryIp;
  if (options.nodeParameters !== undefined)
    op.ndparams = parseKeyValues(options.nodeParameters, '--node-parameters');
  if (Object.keys(op).length === keys) {
    throw usageError(
      `nothing to change on ${name} was given`,
      '-D yes to drain it, -O yes to mark it offline, or --help',
    );
  }
  if (options.autoPromote) op.auto_promote = true;
  if (options.force) op.force = true;
  return op;
}

export const register: Register = (program, wrap) => {
  const node = program.command('node').description('hosts of the cluster');
  node
    .command('add')
    .description('make a one-time token and say what to type on the new host')
    .argument('[new-name]', 'name of the new node; left out: its host name')
    .option('-g, --node-group <group>', 'the group it comes into')
    .option('--master-capable <yes|no>', 'whether it may vote and lead', 'yes')
    .option('--vm-capable <yes|no>', 'whether it may run instances', 'yes')
    .option('--expires <time>', 'how long the token is good', '1h')
    .action(
      wrap(async (session, name: string | undefined, options: AddOptions) => {
        const made = await session.call('token.create', {
          expires_s: parseDuration(options.expires, '--expires'),
          ...(options.nodeGroup === undefined ? {} : { group: options.nodeGroup }),
          master_capable: parseYesNo(options.masterCapable, '--master-capable'),
          vm_capable: parseYesNo(options.vmCapable, '--vm-capable'),
        });
        const command = `skein join ${name === undefined ? '' : `--name ${name} `}${made.token}`;
        if (session.globals.json) {
          session.printJson({ ...made, command });
          return;
        }
        session.terminal.err(
          `Type this on the new host, before ${formatTime(made.expires)} UTC; it works once:\n\n`,
        );
        session.print(command);
        session.terminal.err(`\nTo take it back: skein node revoke-token ${made.id}\n`);
      }),
    );
  node
    .command('revoke-token')
    .description('make a token of `node add` worthless')
    .argument('<token-id>')
    .action(wrap(async (session, id: string) => void (await session.call('token.revoke', { id }))));
  addListOptions(node.command('list'))
    .description('table of nodes; names may have * and ?')
    .argument('[nodes...]')
    .action(
      wrap((session, names: string[], options: ListOptions) => printList(session, 'node', names, options)),
    );
  node
    .command('list-fields')
    .description('names of the columns for list -o')
    .option('--no-headers', 'no titles')
    .action(
      wrap(async (session, options: { readonly headers: boolean }) =>
        printFields(session, 'node', options.headers),
      ),
    );
  node
    .command('info')
    .alias('show')
    .description('everything about nodes')
    .argument('[nodes...]')
    .option('--stale', 'answer from this node’s own copy')
    .action(
      wrap((session, names: string[], options: { readonly stale?: boolean }) =>
        printInfo(session, 'node', names, true, options.stale === true),
      ),
    );
  addSubmitOptions(node.command('modify'))
    .description('change roles, flags and parameters')
    .argument('<node>')
    .option('-f, --force', 'skip checks')
    .option('-C, --master-candidate <yes|no>', 'it may vote')
    .option('-D, --drained <yes|no>', 'it gets no new instances')
    .option('-O, --offline <yes|no>', 'it is known to be away')
    .option('--master-capable <yes|no>', 'whether it may vote and lead')
    .option('--vm-capable <yes|no>', 'whether it may run instances')
    .option('-s, --secondary-ip <address>', 'address for replication')
    .option('--node-parameters <params>', 'key=value,…')
    .option('--auto-promote', 'make others candidates instead')
    .action(
      wrap((session, name: string, options: ModifyOptions) =>
        submitJobs(session, [[nodeModifyOp(name, options)]], options),
      ),
    );
  describeEvacuate(node.command('evacuate')).action(
    wrap((session, name: string, options: EvacuateOptions) => evacuateCommand(session, name, options)),
  );
  node
    .command('leave')
    .description('make this host forget a cluster that removed it; ends its guests')
    .option('-f, --force', 'even if the cluster knows this host or cannot be asked; does not ask you either')
    .action(
      wrap(async (session, options: { readonly force?: boolean }) => {
        const { guests, name } = await session.call('status', {});
        const names = guests.map((guest) => guest.name).join(', ') || 'none';
        const loss = `This will end the guests on this host (${names}), and ${name} will be in no cluster.`;
        await confirm(session.terminal, loss, options.force === true || guests.length === 0);
        const left = await session.call('cluster.leave', { force: options.force === true });
        if (session.globals.json) session.printJson(left);
        else session.print(`This host has left cluster ${left.cluster_name}. Next: skein join TOKEN`);
      }),
    );
  addSubmitOptions(node.command('remove'))
    .description('take a node that owns no instances out of the cluster')
    .argument('<node>')
    .option('-f, --force', 'do not ask')
    .action(
      wrap(async (session, name: string, options: SubmitOptions & { readonly force?: boolean }) => {
        if (!options.force) {
          const row = await session.queryOne('node', name);
          const loss = `This will remove node ${row.name} from the cluster for good; to return it needs a new token.`;
          await confirm(session.terminal, loss, false);
        }
        return submitJobs(session, [[{ OP_ID: 'OP_NODE_REMOVE', node_name: name }]], options);
      }),
    );
};
