import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { inUserNamespace } from './user-namespace-ids.ts';
import { runTool } from './tool.ts';

/** `no-parser`: the kernel has it, and what loads profiles is not installed. */
export type AppArmorSupport = 'yes' | 'no-parser' | 'no';

const SECURITYFS = '/sys/kernel/security/apparmor';
const PARSERS = ['/sbin/apparmor_parser', '/usr/sbin/apparmor_parser'];

/** Whether this process can confine others by AppArmor. In a user namespace it may load no profile, nor see which are there. */
export function appArmorSupport(): AppArmorSupport {
  if (inUserNamespace() || !existsSync(SECURITYFS)) return 'no';
  if (!text('/sys/module/apparmor/parameters/enabled').startsWith('Y')) return 'no';
  return parser() === undefined ? 'no-parser' : 'yes';
}

/** Whether the kernel has the profile now: other programs may remove it at any time. */
export function isProfileLoaded(name: string): boolean {
  return text(`${SECURITYFS}/profiles`)
    .split('\n')
    .some((line) => line.startsWith(`${name} (`));
}

/** Gives the kernel a profile; one of that name is replaced, also for processes that it confines. Throws what `runTool` throws. */
export async function loadProfile(profile: string): Promise<void> {
  // without its cache, which belongs to the profiles in /etc/apparmor.d
  await runTool(parser() ?? PARSERS[0]!, ['--skip-cache', '--replace', '--quiet'], { stdin: profile });
}

function parser(): string | undefined {
  return PARSERS.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
