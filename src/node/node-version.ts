/**
 * Whether the Node.js that runs this agent has known holes: the agent listens on a network, so it says so.
 */

/** The first release of each supported line without known holes: [major, minor, patch]. */
const security_releases: readonly (readonly [number, number, number])[] = [
  [24, 22, 1],
  [26, 12, 1],
];

/** @param version as `process.version` says it, `v26.1.0`. null: nothing to warn of. */
export function nodeVersionWarning(version: string): string | null {
  const [major = 0, minor = 0, patch = 0] = version
    .replace(/^v/, '')
    .split(/[.-]/)
    .map((part) => Number.parseInt(part, 10) || 0);
  const wanted = security_releases.map((release) => release.join('.')).join(' or ');
  if (major > Math.max(...security_releases.map(([line]) => line))) return null;
  const release = security_releases.find(([line]) => line === major);
  if (!release) return `Node.js ${version} is no supported line: expected at least ${wanted}`;
  const behind = minor < release[1] || (minor === release[1] && patch < release[2]);
  return behind ? `Node.js ${version} has known security holes: expected at least ${wanted}` : null;
}
