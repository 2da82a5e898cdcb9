/** `inspect` of anything: the engine's own JSON, indented, or a template for each object. */
import type { Cli } from '../cli.ts';
import { CommandError } from '../command.ts';
import { describeError } from '../describe-error.ts';
import { decodeInspected } from '../template/document-shapes.ts';
import { goJson } from '../../template/print.ts';
import { Template } from '../../template/template.ts';
import { indentJson } from './json.ts';
import { unescapeTemplate } from './rows.ts';

/**
 * Prints what `get` finds for each name. What is missing is reported after what was found, with exit code 1, as docker
 * does.
 */
export async function printInspect(
  cli: Cli,
  names: readonly string[],
  format: string,
  get: (name: string) => Promise<Buffer>,
): Promise<number> {
  const found: Buffer[] = [];
  const failures: string[] = [];
  let template: Template | undefined;
  if (format !== '' && format !== 'json') {
    try {
      template = new Template(unescapeTemplate(format));
    } catch (error) {
      throw new CommandError(`template parsing error: ${(error as Error).message}`, 64, { cause: error });
    }
  }
  for (const name of names) {
    try {
      found.push(await get(name));
    } catch (error) {
      failures.push(describeError(error));
    }
  }
  const values = format === '' ? [] : found.map((bytes) => JSON.parse(bytes.toString('utf8')) as unknown);
  if (format === '')
    cli.io.stdout.write(
      cli.clean(`${indentJson(`[${found.map((bytes) => bytes.toString('utf8').trim()).join(',')}]`, '    ')}\n`),
    );
  else if (!template) cli.io.stdout.write(`${goJson(values)}\n`);
  else {
    for (const value of values) {
      try {
        cli.print(cli.clean(template.execute(decodeInspected(value))));
      } catch (error) {
        cli.print('');
        throw new CommandError(`template parsing error: ${(error as Error).message}`, 1, { cause: error });
      }
    }
    if (values.length === 0) cli.print('');
  }
  if (failures.length === 0) return 0;
  throw new CommandError(failures.join('\n'));
}
