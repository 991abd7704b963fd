/** Which oracle a breach is of, from its first line: what a table has room for. */

const names: readonly (readonly [RegExp, string])[] = [
  [/^(O\d+)[: ]/, '$1'],
  [/broke a promise/, 'promise of the disk'],
  [/before it was durable/, 'promise left early'],
  [/left before .* was on disk/, 'promise left early'],
  [/ended itself: an invariant is broken/, 'assertion of the core'],
  [/ended itself: the log could not be/, 'assertion of the log store'],
  [/ended itself/, 'assertion of the replica'],
  [/cannot be opened/, 'assertion at the start'],
  [/log matching/, 'log matching'],
  [/both lead term|one leader a term/, 'one leader a term'],
  [/leads term .* without|leader completeness/, 'leader completeness'],
  [/not linearizable|^lists:/, 'linearizable history'],
  [/took effect|acknowledged at/, 'effect of a command'],
  [
    /others have it of term|state machine safety|has another state|that is no state|differs from another|has an image/,
    'state machine safety',
  ],
  [/committed, nobody has/, 'commit in order'],
  [/replaces entry \d+, committed/, 'committed entry replaced'],
  [/not whole|cannot be founded|cannot be added/, 'liveness'],
  [/begins in term/, 'terms of log and image'],
  [/stood still for .* leads on/, 'leads after a standstill'],
  [/a lead was disturbed/, 'a lead is not disturbed'],
  [/as if it was told to/, 'campaigns unasked'],
  [/handed its lead over/, 'relies on a lost lead'],
  [/counts by another configuration/, 'configuration of the log'],
  [/snapshot of \d+ with another configuration/, 'configuration of a snapshot'],
  [/finds damage where none/, 'damage without any'],
  [/committed, but no quorum/, 'commit by a quorum'],
  [/beyond commit|went from/, 'monotony of status'],
  [/^read index|^read \d+: index/, 'read index'],
  [/^relay \d+ forwards/, 'relays forward what is committed'],
  [/^entry .* before it is on disk/, 'applied before durable'],
  [/^one vote a term|votes for \d+ and for/, 'one vote a term'],
  [/^waited .* for/, 'liveness'],
  [/^expected within|^never was to be|came to pass \d+ times/, 'expectation of a scenario'],
  [/^scene (.*?):/, 'scene: $1'],
  [/^rot: (.*?):/, 'rot: $1'],
  [/InvariantError|^invariant/, 'assertion of the core'],
];

export function oracleOf(breach: string): string {
  const line = breach.split('\n')[0] ?? '';
  for (const [pattern, name] of names) {
    const found = pattern.exec(line);
    if (found !== null) return name.replace('$1', found[1] ?? '');
  }
  return line.slice(0, 40);
}
