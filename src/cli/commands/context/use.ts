import { command } from '../../command.ts';
import { ContextStore, DEFAULT_CONTEXT } from '../../contexts.ts';

export const use = command({
  usage: 'CONTEXT',
  flags: {},
  args: { min: 1, max: 1 },
  complete: 'context',
  async run(cli, { args }) {
    const name = args[0]!;
    if (name !== DEFAULT_CONTEXT) new ContextStore(cli.configDirectory).get(name);
    cli.config.write({ currentContext: name === DEFAULT_CONTEXT ? '' : name });
    cli.print(name);
    cli.warn(`Current context is now "${name}"`);
    if (cli.env['GANTRY_HOST'] || cli.env['DOCKER_HOST']) {
      cli.warn(
        `Warning: DOCKER_HOST environment variable overrides the active context. To use "${name}", either set the global --context flag, or unset DOCKER_HOST environment variable.`,
      );
    }
    return 0;
  },
});
