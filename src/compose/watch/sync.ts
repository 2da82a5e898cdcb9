import fs from 'node:fs';
import { join, posix } from 'node:path';
import { byteString } from '../../base/byte-string.ts';
import type { Client } from '../../client/client.ts';
import { tarHeader } from '../../content/tar/header.ts';
import { type TarSource, writeTar } from '../../content/tar/writer.ts';
import { dict } from '../model/value.ts';
import { runHook } from '../project/hooks.ts';
import type { WatchRule } from './rule.ts';

/** Brings paths of the host into a container as they are now: what is gone is removed there too. */
export async function syncPaths(
  client: Client,
  container: string,
  rule: WatchRule,
  paths: Iterable<string>,
): Promise<void> {
  const present: string[] = [];
  const gone: string[] = [];
  for (const path of paths)
    if (fs.lstatSync(path, { throwIfNoEntry: false })) present.push(path);
    else gone.push(rule.inContainer(path));
  if (gone.length > 0)
    await runHook(client, container, dict([['command', ['rm', '-rf', '--', ...gone]]]), 'removing what is gone');
  if (present.length > 0) await client.containers.archivePut(container, '/', writeTar(entries(rule, present)));
}

/** Everything below a rule's path that it matches. */
export function pathsOf(rule: WatchRule): string[] {
  const found: string[] = [];
  const walk = (path: string): void => {
    if (rule.skips(path)) return;
    const stat = fs.lstatSync(path, { throwIfNoEntry: false });
    if (!stat) return;
    if (stat.isDirectory()) for (const name of fs.readdirSync(path).sort()) walk(join(path, name));
    else if (rule.matches(path)) found.push(path);
  };
  walk(rule.path);
  return found;
}

function* entries(rule: WatchRule, paths: readonly string[]): Generator<TarSource, void, void> {
  for (const path of paths) {
    const stat = fs.lstatSync(path, { throwIfNoEntry: false });
    if (!stat) continue;
    const name = byteString(rule.inContainer(path).replace(/^\/+/, ''));
    const common = { name, mode: stat.mode & 0o7777, mtime: BigInt(Math.trunc(stat.mtimeMs * 1e6)) };
    if (stat.isSymbolicLink())
      yield { header: tarHeader({ ...common, type: 'symlink', linkName: byteString(fs.readlinkSync(path)) }) };
    else if (stat.isDirectory()) {
      yield { header: tarHeader({ ...common, type: 'directory', name: posix.join(name, '/') }) };
    } else if (stat.isFile()) {
      // Read whole: one that is being written may have another size by now than a moment ago.
      const content = fs.readFileSync(path);
      yield { header: tarHeader({ ...common, type: 'file', size: content.byteLength }), body: [content] };
    }
  }
}
