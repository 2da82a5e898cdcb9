import { closeSync, openSync, writeFileSync } from 'node:fs';
import { pipe, readEnd } from './pipe.ts';
import { spawnProcess, type SpawnedProcess } from './spawn.ts';
import { TOOL_PATH } from './tool.ts';

/** Descriptors of namespaces that live as long as these are open, or a process is in them. */
export interface NewNamespaces extends Disposable {
  readonly user: number;
  /** Of the user namespace. */
  readonly network: number | undefined;
}

/**
 * A user namespace with these maps (user_namespaces(7)), and a network namespace that is its own where asked. Only a process
 * can make one, and a process with threads cannot: a shell does, and ends.
 */
export async function newUserNamespace(
  maps: { readonly uid: string; readonly gid: string },
  options: { readonly network?: boolean } = {},
): Promise<NewNamespaces> {
  const [input, output] = [pipe(), pipe()];
  const nothing = openSync('/dev/null', 'r+');
  const stdout = readEnd(output.read);
  try {
    const child = await startShell([input.read, output.write, nothing], options.network === true);
    let made = false;
    for await (const _ of stdout) {
      made = true;
      break;
    }
    if (!made) throw new Error('this host allows no user namespaces');
    writeFileSync(`/proc/${child.pid}/uid_map`, maps.uid);
    writeFileSync(`/proc/${child.pid}/gid_map`, maps.gid);
    const user = openSync(`/proc/${child.pid}/ns/user`, 'r');
    const network = options.network ? openSync(`/proc/${child.pid}/ns/net`, 'r') : undefined;
    return {
      user,
      network,
      [Symbol.dispose]: () => {
        closeSync(user);
        if (network !== undefined) closeSync(network);
      },
    };
  } finally {
    // the end of its input is the shell's end
    closeSync(input.write);
    stdout.destroy();
  }
}

/** Takes the descriptors. */
async function startShell(fds: readonly number[], network: boolean): Promise<SpawnedProcess> {
  try {
    return await spawnProcess({
      path: '/usr/bin/unshare',
      argv: ['unshare', '--user', ...(network ? ['--net'] : []), 'sh', '-c', 'echo; read line'],
      env: [TOOL_PATH],
      fds,
    });
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}
