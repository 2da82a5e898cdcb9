import { command } from '../../command.ts';
import { resolveTarget } from '../../engine-client.ts';

export const show = command({
  usage: '',
  flags: {},
  args: { min: 0, max: 0 },
  async run(cli) {
    cli.print(resolveTarget(cli).context);
    return 0;
  },
});
