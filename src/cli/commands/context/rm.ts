import { command, CommandError } from '../../command.ts';
import { ContextStore, DEFAULT_CONTEXT } from '../../contexts.ts';
import { bool } from '../../flag.ts';
import { forEachName } from '../../names.ts';

export const rm = command({
  usage: '[OPTIONS] CONTEXT [CONTEXT...]',
  flags: { force: bool('Force the removal of a context in use', { short: 'f' }) },
  args: { min: 1 },
  complete: 'context',
  async run(cli, { flags, args }) {
    const store = new ContextStore(cli.configDirectory);
    const current = cli.config.document.currentContext;
    return forEachName(
      cli,
      args,
      async (name) => {
        if (name === DEFAULT_CONTEXT) throw new CommandError('context "default" cannot be removed');
        if (flags.force && !store.find(name)) return;
        if (name === current) {
          if (!flags.force)
            throw new CommandError(`context ${JSON.stringify(name)} is in use, set -f flag to force remove`);
          cli.config.write({ currentContext: '' });
        }
        store.remove(name);
      },
      { atOnce: 1 },
    );
  },
});
