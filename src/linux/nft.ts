import { existsSync } from 'node:fs';
import { EngineError, errorMessage } from '../base/errors.ts';
import { SystemCallError } from './libc.ts';
import { NetlinkSocket, stringAttribute } from './netlink.ts';
import type { NetworkNamespace } from './network-namespace.ts';
import { runTool, type ToolResult } from './tool.ts';

const NETLINK_NETFILTER = 12;
const NFPROTO_INET = 1;
const NFT_MSG_GETTABLE = (10 << 8) | 1;
const NFTA_TABLE_NAME = 1;
const SHOWN_LINES = 12;
const PATHS = ['/usr/sbin/nft', '/sbin/nft', '/usr/bin/nft', '/usr/local/sbin/nft'];

/**
 * Applies nftables text as one transaction: all of it or nothing. In the network namespace of the engine, or another.
 * What only adds takes 4 ms; the kernel waits 10 ms more where something is deleted.
 * Throws `unavailable` when nft is not installed or the kernel has no tables of this kind, `internal` with its words.
 */
export async function applyNftables(rules: string, namespace?: NetworkNamespace): Promise<void> {
  const path = nftPath();
  let run: Promise<ToolResult>;
  const start = (): void => void (run = runTool(path, ['-f', '-'], { stdin: rules, here: namespace !== undefined }));
  if (namespace) namespace.run<void>(start);
  else start();
  try {
    await run!;
  } catch (error) {
    throw refusal(errorMessage(error), error);
  }
}

/** What nft says of rules that the kernel refused, in a few lines: it has a complaint of each that follows from the first. */
export function refusal(words: string, cause?: unknown): EngineError {
  if (words.includes('Could not process rule: Operation not supported\ntable inet '))
    return new EngineError(
      'unavailable',
      'this kernel has no nftables tables for IPv4 and IPv6 together: it needs CONFIG_NF_TABLES_INET',
      { cause },
    );
  const lines = words.split('\n');
  const shown = lines.length > SHOWN_LINES ? [...lines.slice(0, SHOWN_LINES), '…'] : lines;
  return new EngineError('internal', `nftables refused the rules: ${shown.join('\n')}`, { cause });
}

/** Every rule of the host, as text; tables of iptables-nft among them. */
export async function listNftables(): Promise<string> {
  const { stdout } = await runTool(nftPath(), ['list', 'ruleset']);
  return stdout.toString();
}

/** Whether the table is there, in the engine's namespace. One netlink call, some 50 µs. */
export function hasNftable(name: string): boolean {
  using socket = new NetlinkSocket(NETLINK_NETFILTER);
  const header = Uint8Array.of(NFPROTO_INET, 0, 0, 0); // struct nfgenmsg
  try {
    socket.request(
      NFT_MSG_GETTABLE,
      0,
      Buffer.concat([header, stringAttribute(NFTA_TABLE_NAME, name)]),
      'find a table',
    );
    return true;
  } catch (error) {
    if (error instanceof SystemCallError && error.code === 'ENOENT') return false;
    throw error;
  }
}

function nftPath(): string {
  const path = PATHS.find((candidate) => existsSync(candidate));
  if (!path) throw new EngineError('unavailable', 'nft is not installed on this host: install the package nftables');
  return path;
}
