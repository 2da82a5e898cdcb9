import type { ContainerFact, WhyDocument } from '../../../api/why.ts';
import { command, CommandError } from '../../command.ts';
import type { Cli } from '../../cli.ts';
import { bool, string } from '../../flag.ts';
import { authorOf } from '../../output/author.ts';
import { escapeControls } from '../../output/escape.ts';

const SHOWN = 8;

export const why = command({
  usage: '[OPTIONS] CONTAINER',
  description:
    'Tell why a container stopped, restarts, is unhealthy or cannot be reached: from what the engine recorded when it happened. Containers that were removed lately are known, too.',
  examples: `gantry why web
gantry why --all web
gantry why --format json web | jq -r '.Findings[0].Kind'`,
  flags: {
    all: bool('Show everything that is recorded', { short: 'a' }),
    format: string("'text' or 'json'", { initial: 'text', complete: ['text', 'json'] }),
  },
  args: { min: 1, max: 1 },
  complete: 'container',
  async run(cli, { flags, args }) {
    if (!['text', 'json'].includes(flags.format)) {
      throw new CommandError(`no format ${JSON.stringify(flags.format)}: use text or json`);
    }
    const client = await cli.client();
    const document = await client.containers.why(args[0]!);
    if (flags.format === 'json') cli.print(JSON.stringify(document, null, 2));
    else printText(cli, document, flags.all);
    return 0;
  },
});

function printText(cli: Cli, document: WhyDocument, all: boolean): void {
  const print = (line: string): void => cli.print(cli.io.stdout.isTTY ? escapeControls(line) : line);
  print(`${document.Name} (${document.Id.slice(0, 12)}, ${document.Image}) is ${document.State}`);
  for (const { Text, Hint } of document.Findings) {
    print(`- ${Text}`);
    if (Hint !== undefined) print(`    → ${Hint}`);
  }
  if (document.Output.length > 0) {
    print('\nIt printed last:');
    for (const line of document.Output) print(`    ${line}`);
  }
  const facts = all ? document.Facts : document.Facts.slice(-SHOWN);
  if (facts.length > 0) {
    const hidden = document.Facts.length - facts.length;
    print(`\nWhat is recorded${hidden > 0 ? ` (--all shows ${hidden} more)` : ''}:`);
    for (const fact of facts) print(`    ${fact.At.slice(0, 19).replace('T', ' ')}  ${factLine(fact)}`);
  }
}

function factLine(fact: ContainerFact): string {
  const by = fact.By ? ` by ${authorOf(fact.By)}` : '';
  switch (fact.Kind) {
    case 'ended': {
      const oom = fact.OOMKilled ? ', out of memory' : '';
      const again = fact.RestartAfterMs === undefined ? '' : `, again in ${(fact.RestartAfterMs / 1000).toFixed(1)} s`;
      const error = fact.Error === undefined ? '' : `: ${fact.Error}`;
      return `ended with code ${fact.ExitCode}${oom}${fact.Unseen ? ', unseen' : ''}${again}${error}`;
    }
    case 'start-failed':
      return `start failed${by}: ${fact.Error}`;
    case 'signal':
      return `${fact.What}${fact.Signal === undefined ? '' : `, signal ${fact.Signal}`}${fact.TimedOut ? ' after the time-out' : ''}${by}`;
    case 'health':
      return `health ${fact.What}${fact.Error ? `: ${fact.Error.trim()}` : ''}`;
    case 'connected':
    case 'disconnected':
      return `${fact.Kind} ${fact.What}${by}`;
    default:
      return `${fact.Kind}${by}`;
  }
}
