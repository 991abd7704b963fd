/**
 * Rules for names, addresses, tags and other texts. Each answers null, or what is wrong: the value and what was
 * expected, so that whoever typed it can mend it.
 */

import { isIP } from 'node:net';
import type { TagKind } from './commands.ts';
import { limits } from './limits.ts';
import { shown } from './refused.ts';

export type Verdict = string | null;

const host_label = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const tag_chars = /^[A-Za-z0-9.+*/:@_-]+$/;
const id_chars = /^[A-Za-z0-9._:-]+$/;
const mac_form = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;
const mac_prefix_form = /^[0-9a-f]{2}(:[0-9a-f]{2}){2}$/;

/** Host-name rules (RFC 1123, section 2.1): labels of a-z, 0-9 and inner hyphens, up to 63 each, 253 in all. */
export function checkHostName(name: string): Verdict {
  if (
    name.length > 0 &&
    name.length <= limits.name_chars &&
    name.split('.').every((label) => host_label.test(label))
  ) {
    return null;
  }
  return `${shown(name)} is no host name: expected labels of a-z, 0-9 and inner hyphens, separated by dots, ${limits.name_chars} characters at most`;
}

/** Uuids and other ids that a program made. */
export function checkId(id: string): Verdict {
  if (id.length <= limits.id_chars && id_chars.test(id)) return null;
  return `${shown(id)} is no id: expected 1 to ${limits.id_chars} characters of A-Z, a-z, 0-9 and ._:-`;
}

/** Ganeti's rule for tags. */
export function checkTag(tag: string): Verdict {
  if (tag.length <= limits.tag_chars && tag_chars.test(tag)) return null;
  return `${shown(tag)} is no tag: expected 1 to ${limits.tag_chars} characters of A-Z, a-z, 0-9 and .+*/:@_-`;
}

/** Lower case; not a group address. */
export function checkMac(mac: string): Verdict {
  if (!mac_form.test(mac))
    return `${shown(mac)} is no MAC address: expected six pairs like aa:00:00:12:34:56, in lower case`;
  if ((Number.parseInt(mac.slice(0, 2), 16) & 1) === 1) {
    return `${shown(mac)} is a multicast MAC address: expected one whose first pair is even`;
  }
  return null;
}

export function checkMacPrefix(prefix: string): Verdict {
  return mac_prefix_form.test(prefix)
    ? null
    : `${shown(prefix)} is no MAC prefix: expected three pairs like aa:00:00`;
}

export function checkIp(ip: string): Verdict {
  return isIP(ip) !== 0 && !ip.includes('%')
    ? null
    : `${shown(ip)} is no IP address: expected IPv4 or IPv6, without a zone`;
}

/** '' is allowed: not used. Never `/` itself, nothing relative inside. */
export function checkDirectory(path: string): Verdict {
  if (path === '') return null;
  const parts = path.split('/').slice(1);
  const sound = path.startsWith('/') && parts.every((part) => part !== '' && part !== '.' && part !== '..');
  if (sound && !path.includes('\0') && path.length <= limits.text_chars) return null;
  return `${shown(path)} is no directory: expected an absolute path without '.', '..' or a slash at its end`;
}

export function checkTagCount(kind: TagKind, count: number): Verdict {
  if (count <= limits.tags_per_object) return null;
  return `the ${kind} would have ${count} tags: expected ${limits.tags_per_object} at most`;
}
