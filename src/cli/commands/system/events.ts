import type { EventMessage } from '../../../client/system.ts';
import { command } from '../../command.ts';
import { filters, string } from '../../flag.ts';
import { parseMoment } from '../../options/time.ts';
import { INSPECT_FORMAT_HELP } from '../../output/format-help.ts';
import { compile, unescapeTemplate } from '../../output/rows.ts';
import { localNanos } from '../../output/units.ts';

export const events = command({
  usage: '[OPTIONS]',
  flags: {
    filter: filters('Filter output based on conditions provided', { short: 'f' }),
    format: string(INSPECT_FORMAT_HELP),
    since: string('Show all events created since timestamp'),
    until: string('Stream events until this timestamp'),
  },
  args: { min: 0, max: 0 },
  async run(cli, { flags }) {
    const template =
      flags.format === '' || flags.format === 'json' ? undefined : compile(unescapeTemplate(flags.format));
    const client = await cli.client();
    const messages = client.system.events({
      since: flags.since === '' ? undefined : parseMoment(flags.since),
      until: flags.until === '' ? undefined : parseMoment(flags.until),
      filters: flags.filter,
    });
    for await (const event of messages) {
      const line =
        flags.format === 'json' ? event.text : template ? template.execute(templateData(event)) : describe(event);
      cli.print(cli.clean(line));
    }
    return 0;
  },
});

/** `2026-11-23T18:01:13.881776519Z container create 5a90… (image=busybox, name=web)` */
function describe(event: EventMessage): string {
  const attributes = Object.entries(event.Actor.Attributes ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`);
  const tail = attributes.length === 0 ? '' : ` (${attributes.join(', ')})`;
  return `${localNanos(event.timeNano)} ${event.Type} ${event.Action} ${event.Actor.ID}${tail}`;
}

/** The fields by the names that Go's struct has. */
function templateData(event: EventMessage): Record<string, unknown> {
  const { text: _, ...wire } = event;
  return {
    ...wire,
    Scope: event.scope ?? '',
    Time: event.time ?? 0,
    TimeNano: event.timeNano,
    Status: event.Action,
    ID: event.Actor.ID,
    From: event.Actor.Attributes?.['image'] ?? '',
  };
}
