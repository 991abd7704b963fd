/**
 * `skein completion bash|zsh|fish`: a completion script made from the tree of commands. Words are in the script; names
 * of instances, nodes and so on are asked for when they are needed.
 */

import { type CommandWords, commandTree } from './command-tree.ts';
import { usageError } from './exit-status.ts';
import type { Register } from './register.ts';

/** In single quotes, for any of the three shells. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** One `case` branch a command: its words, what its argument names, its options with values. */
function cases(tree: readonly CommandWords[]): string {
  return tree
    .map(({ path, subcommands, options, argument, values }) => {
      const pairs = values.map(({ option, kind }) => `${option}=${kind}`).join(' ');
      return `    ${quote(path)}) subs=${quote(subcommands.join(' '))}; opts=${quote(options.join(' '))}; kind=${quote(argument)}; vals=${quote(pairs)} ;;`;
    })
    .join('\n');
}

const first_lines = (shell: string): string =>
  `# ${shell} completion for skein, made by: skein completion ${shell}\n`;

/** The part that bash and zsh (through bashcompinit) share. */
export function bashScript(tree: readonly CommandWords[]): string {
  return `${first_lines('bash')}
_skein_words() {
  case "$1" in
${cases(tree)}
    *) return 1 ;;
  esac
}

_skein_names() {
  case "$1" in
    '' | value) ;;
    file) COMPREPLY+=($(compgen -f -- "$cur")) ;;
    *) COMPREPLY+=($(compgen -W "$(skein "\${globals[@]}" __complete "$1" 2>/dev/null)" -- "$cur")) ;;
  esac
}

_skein() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" previous="" path="" subs opts kind vals word pair i
  local -a globals=()
  COMPREPLY=()
  _skein_words ""
  local program_vals="$vals" program_opts="$opts"
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    if [[ "$previous" == --socket || "$previous" == -N || "$previous" == --on ]]; then
      globals+=("$previous" "$word")
    elif [[ "$word" != -* && " $subs " == *" $word "* ]]; then
      path="\${path:+$path }$word"
      _skein_words "$path" || return 0
    fi
    previous="$word"
  done
  for pair in $vals $program_vals; do
    if [[ "\${pair%%=*}" == "$previous" ]]; then
      _skein_names "\${pair#*=}"
      return 0
    fi
  done
  if [[ "$cur" == -* ]]; then
    COMPREPLY=($(compgen -W "$opts $program_opts" -- "$cur"))
    return 0
  fi
  COMPREPLY=($(compgen -W "$subs" -- "$cur"))
  _skein_names "$kind"
}
complete -F _skein skein
`;
}

export function zshScript(tree: readonly CommandWords[]): string {
  return `#compdef skein\n${first_lines('zsh')}autoload -U +X bashcompinit && bashcompinit\n${bashScript(tree)}`;
}

export function fishScript(tree: readonly CommandWords[]): string {
  const lines = tree.map(({ path, subcommands, options, argument, values }) => {
    const pairs = values.map(({ option, kind }) => `${option}=${kind}`);
    const fields = [subcommands, options, [argument], pairs].map((words) => words.join(' '));
    return `    case ${quote(path)}\n      printf '%s\\n' ${fields.map(quote).join(' ')}`;
  });
  return `${first_lines('fish')}
function __skein_words
  switch "$argv[1]"
${lines.join('\n')}
    case '*'
      return 1
  end
end

function __skein_names
  switch "$argv[1]"
    case '' value
    case file
      __fish_complete_path (commandline -ct)
    case '*'
      skein $argv[2..-1] __complete $argv[1] 2>/dev/null
  end
end

function __skein_complete
  set -l words (commandline -opc)
  set -l path
  set -l previous ''
  set -l globals
  set -l known (__skein_words '')
  set -l program $known
  for word in $words[2..-1]
    if contains -- "$previous" --socket -N --on
      set -a globals $previous $word
    else if not string match -q -- '-*' $word; and contains -- $word (string split ' ' -- $known[1])
      set -a path $word
      set known (__skein_words "$path"); or return
    end
    set previous $word
  end
  for pair in (string split -n ' ' -- "$known[4] $program[4]")
    set -l parts (string split -m 1 '=' -- $pair)
    if test "$parts[1]" = "$previous"
      __skein_names $parts[2] $globals
      return
    end
  end
  if string match -q -- '-*' (commandline -ct)
    string split -n ' ' -- "$known[2] $program[2]"
    return
  end
  string split -n ' ' -- $known[1]
  __skein_names "$known[3]" $globals
end

complete -c skein -f -a '(__skein_complete)'
`;
}

export const register: Register = (program, wrap) => {
  program
    .command('completion')
    .description('shell completion: bash, zsh or fish')
    .argument('<shell>', 'bash: source <(skein completion bash); fish: skein completion fish | source')
    .action(
      wrap(async (session, shell: string) => {
        const tree = await commandTree(session.terminal);
        if (shell === 'bash') session.terminal.out(bashScript(tree));
        else if (shell === 'zsh') session.terminal.out(zshScript(tree));
        else if (shell === 'fish') session.terminal.out(fishScript(tree));
        else throw usageError(`shell "${shell}" is not known`, 'skein completion bash, zsh or fish');
      }),
    );
};
