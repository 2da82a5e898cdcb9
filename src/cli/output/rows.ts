/** Lists of things as docker shows them: a table of columns, JSON lines, or a template for each. */
import type { Cli } from '../cli.ts';
import { CommandError } from '../command.ts';
import { Template } from '../../template/template.ts';
import { escapeControls } from './escape.ts';
import { fitRows, layOut, layOutText } from './table.ts';
import { placesOf } from './width.ts';

/** The fields of one line, by the names templates use. A function is computed when asked for, or takes arguments. */
export type Row = Readonly<Record<string, RowField>>;
export type RowField = string | ((...args: unknown[]) => string);

export interface RowFormat {
  /** The columns of the default table: field names. */
  readonly columns: readonly string[];
  /** What stands above each field. */
  readonly headers: Readonly<Record<string, string>>;
  /** How Go calls the type in its complaints. */
  readonly typeName: string;
  /** Fields of the JSON form, where they are not all. */
  readonly json?: readonly string[];
  /** Fields that are true or false in the JSON form. */
  readonly booleans?: readonly string[];
  /** What `--quiet` prints. */
  readonly quiet?: string;
  /** Columns that a narrow terminal does not cut; besides ids, names, tags and states, which never are. */
  readonly whole?: readonly string[];
  /** Columns that a narrow terminal does without, the first first: of numbers, which say nothing when they are cut. */
  readonly spare?: readonly string[];
}

const ALWAYS_WHOLE = ['ID', 'Name', 'Names', 'Tag', 'State', 'Size'];
/** Cut before a line is broken, but after everything else: what counts stands at their beginning. */
const CUT_LAST = ['Status'];

function wholeColumns({ columns, whole = [] }: RowFormat): ReadonlySet<number> {
  return new Set(columns.flatMap((name, at) => (whole.includes(name) || ALWAYS_WHOLE.includes(name) ? [at] : [])));
}

/** Prints `rows` in the form that `--format` and `--quiet` ask for. */
export function printRows(
  cli: Cli,
  format: RowFormat,
  rows: readonly Row[],
  options: { template?: string; quiet?: boolean; noTrunc?: boolean } = {},
): void {
  const { isTTY, columns } = cli.io.stdout;
  const width = isTTY && options.noTrunc !== true ? columns : undefined;
  cli.io.stdout.write(formatRows(format, rows, { ...options, escape: isTTY, width }));
}

export function formatRows(
  format: RowFormat,
  rows: readonly Row[],
  options: { template?: string; quiet?: boolean; escape?: boolean; width?: number | undefined } = {},
): string {
  const safe = options.escape === true ? rows.map(escapeRow) : rows;
  const template = (options.template ?? '').trim();
  if (options.quiet === true && format.quiet !== undefined && (template === '' || template === 'table')) {
    return safe.map((row) => `${valueOf(row, format.quiet!)}\n`).join('');
  }
  if (template === 'json') return safe.map((row) => `${rowJson(format, row)}\n`).join('');
  if (template === '' || template === 'table') {
    return tableOf(format, safe, options.width);
  }
  return formatTemplate(
    template,
    format,
    safe.map((row) => templateRow(format, row)),
  );
}

function tableOf(format: RowFormat, rows: readonly Row[], width: number | undefined): string {
  const { columns, headers, spare = [] } = format;
  const head = columns.map((name) => headers[name] ?? name.toUpperCase());
  const cells = [head, ...rows.map((row) => columns.map((name) => valueOf(row, name)))];
  if (width === undefined) return layOut(cells);
  const [first] = spare.filter((name) => columns.includes(name));
  if (
    first !== undefined &&
    layOut(cells)
      .split('\n')
      .some((line) => placesOf(line) > width)
  )
    return tableOf({ ...format, columns: columns.filter((name) => name !== first) }, rows, width);
  const last = new Set(columns.flatMap((name, at) => (CUT_LAST.includes(name) ? [at] : [])));
  return layOut(fitRows(cells, width, wholeColumns(format), last));
}

/** A line for each item by a template; after `table `, below a head of the fields' names. */
export function formatTemplate(
  template: string,
  { headers, typeName }: Pick<RowFormat, 'headers' | 'typeName'>,
  items: readonly unknown[],
): string {
  const table = /^table\s/.test(template);
  const source = unescapeTemplate(table ? template.slice(6).trim() : template);
  const compiled = compile(source, typeName);
  const lines = items.map((item) => execute(compiled, item));
  if (!table) return lines.map((line) => `${line}\n`).join('');
  const labelled = {
    ...headers,
    Label: (name: unknown) =>
      String(name)
        .split(/[.\-_/]/)
        .at(-1) ?? '',
  };
  // In the head, `{{json .X}}` and the like show the header as it is.
  const head = new Template(source, { functions: HEADER_FUNCTIONS, missing: (name) => name.toUpperCase() });
  return layOutText([execute(head, labelled), ...lines].map((line) => `${line}\n`).join(''));
}

const HEADER_FUNCTIONS = new Map([
  ['json', (value: unknown) => String(value)],
  ['truncate', (value: unknown) => String(value)],
  ['pad', (value: unknown) => String(value)],
  ['split', (value: unknown) => String(value)],
  ['join', (value: unknown) => String(value)],
  ['title', (value: unknown) => String(value)],
  ['lower', (value: unknown) => String(value)],
  ['upper', (value: unknown) => String(value)],
]);

/** Throws in docker's words. */
export function compile(
  source: string,
  typeName?: string,
  functions?: ReadonlyMap<string, (value: unknown) => string>,
): Template {
  try {
    return new Template(source, { ...(typeName !== undefined && { typeName }), ...(functions && { functions }) });
  } catch (error) {
    throw new CommandError(`failed to parse template: ${(error as Error).message}`, 1, { cause: error });
  }
}

export function execute(template: Template, data: unknown): string {
  try {
    return template.execute(data);
  } catch (error) {
    throw new CommandError(`failed to execute template: ${(error as Error).message}`, 1, { cause: error });
  }
}

/** `\t` and `\n` typed in a shell are meant as tab and line end. */
export function unescapeTemplate(source: string): string {
  return source.replaceAll('\\t', '\t').replaceAll('\\n', '\n');
}

/** The row as templates see it; `json` of it is its JSON form. */
export function templateRow(format: RowFormat, row: Row): Record<string, unknown> {
  const fields: Record<string, unknown> = { ...row };
  Object.defineProperty(fields, 'toJSON', { enumerable: false, value: () => jsonFields(format, row) });
  return fields;
}

function rowJson(format: RowFormat, row: Row): string {
  return JSON.stringify(jsonFields(format, row)).replace(/[<>&]/g, (char) => `\\u00${char.charCodeAt(0).toString(16)}`);
}

function jsonFields(format: RowFormat, row: Row): Record<string, string | boolean | null> {
  const { booleans = [] } = format;
  const names = (
    format.json ??
    Object.keys(row).filter((name) => typeof row[name] === 'string' || (row[name] as () => string).length === 0)
  ).toSorted();
  return Object.fromEntries(
    names.map((name) => {
      const value = valueOf(row, name);
      if (booleans.includes(name)) return [name, value === 'true'];
      return [name, name === 'Platform' && value === '' ? null : value];
    }),
  );
}

function valueOf(row: Row, name: string): string {
  const value = row[name] ?? '';
  return typeof value === 'string' ? value : value();
}

function escapeRow(row: Row): Row {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name,
      typeof value === 'string'
        ? escapeControls(value)
        : Object.defineProperty((...args: unknown[]) => escapeControls(value(...args)), 'length', {
            value: value.length,
          }),
    ]),
  );
}
