import type { BuildSession } from './build-session.ts';

/**
 * A session in which some secrets come from the engine's own: by the id that the Dockerfile has, the engine's name. The
 * client is asked for all others. Throws `invalid-argument` for one that the engine has not, before anything is built.
 */
export function withEngineSecrets(
  session: BuildSession | undefined,
  names: Readonly<Record<string, string>>,
  value: (name: string) => Uint8Array,
): BuildSession {
  const byId = new Map(Object.entries(names));
  for (const name of byId.values()) value(name);
  return {
    secret: async (id, signal) => {
      const name = byId.get(id);
      return name === undefined ? session?.secret(id, signal) : value(name);
    },
    sshAgent: async (id, signal) => session?.sshAgent(id, signal),
    directory: (name) => session?.directory?.(name),
    layoutFile: async (store, path, signal) => session?.layoutFile?.(store, path, signal),
    archive: () => session?.archive?.(),
    ...(session?.shell && { shell: (step) => session.shell!(step) }),
  };
}
