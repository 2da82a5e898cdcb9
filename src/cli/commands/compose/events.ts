import { LABEL } from '../../../compose/project/labels.ts';
import { bool, string } from '../../flag.ts';
import { parseMoment } from '../../options/time.ts';
import { composeCommand } from './context.ts';

export const events = composeCommand({
  usage: '[OPTIONS] [SERVICE...]',
  flags: {
    json: bool('Output events as a stream of json objects'),
    since: string('Show all events created since timestamp'),
    until: string('Stream events until this timestamp'),
  },
  args: { min: 0 },
  async run(compose, { flags, args }) {
    const { cli } = compose;
    const { name } = await compose.projectOrName(args);
    const client = await compose.client();
    const messages = client.system.events({
      since: flags.since === '' ? undefined : parseMoment(flags.since),
      until: flags.until === '' ? undefined : parseMoment(flags.until),
      filters: new Map([
        ['type', ['container']],
        ['label', [`${LABEL.project}=${name}`]],
      ]),
    });
    for await (const event of messages) {
      const { ID: id, Attributes: all = {} } = event.Actor;
      const service = all[LABEL.service];
      if (service === undefined || all[LABEL.oneOff] === 'True') continue;
      if (args.length > 0 && !args.includes(service)) continue;
      const attributes = Object.fromEntries(
        Object.entries(all)
          .filter(([key]) => !key.startsWith('com.docker.compose.'))
          .sort(([a], [b]) => (a < b ? -1 : 1)),
      );
      const time = new Date(Number(event.timeNano) / 1e6);
      if (flags.json)
        cli.print(
          JSON.stringify({
            time: time.toISOString(),
            type: 'container',
            service,
            id,
            action: event.Action,
            attributes,
          }),
        );
      else {
        const stamp = time.toISOString().replace('T', ' ').replace('Z', '000');
        const tail = Object.entries(attributes).map(([key, value]) => `${key}=${value}`);
        cli.print(cli.clean(`${stamp} container ${event.Action} ${id} (${tail.join(', ')})`));
      }
    }
    return 0;
  },
});
