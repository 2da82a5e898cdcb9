import { command, CommandError } from '../../command.ts';
import { ManifestStore } from '../../manifest-store.ts';
import { namedReference } from '../../remote.ts';

export const rm = command({
  usage: 'MANIFEST_LIST [MANIFEST_LIST...]',
  flags: {},
  args: { min: 1 },
  async run(cli, { args }) {
    const store = new ManifestStore(cli);
    const missing: string[] = [];
    for (const name of args) {
      const list = namedReference(name);
      if (store.list(list)) store.remove(list);
      else missing.push(`No such manifest: ${name}`);
    }
    if (missing.length > 0) throw new CommandError(missing.join('\n'));
    return 0;
  },
});
