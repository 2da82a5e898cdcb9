import { VERSION } from '../../../base/version.ts';
import { cycloneDxDocument } from '../../../scan/documents/cyclonedx.ts';
import { type DocumentSubject, spdxDocument } from '../../../scan/documents/spdx.ts';
import { command, CommandError } from '../../command.ts';
import { string } from '../../flag.ts';
import { inventoryOfImage } from '../../image-inventory.ts';
import { writeStream } from '../../output/file.ts';
import { formatRows } from '../../output/rows.ts';

export const sbom = command({
  usage: '[OPTIONS] [IMAGE]',
  description:
    'List the packages installed in an image: of Debian, Alpine and RPM distributions, npm, PyPI, Go programs and Java archives.',
  examples: `# A document for other tools
gantry sbom --format spdx -o app.spdx.json app:1.0

# Of a saved image, as a table
gantry sbom --input app.tar`,
  flags: {
    format: string('table, spdx (SPDX 2.3 JSON), cyclonedx (CycloneDX 1.6 JSON) or json', { initial: 'table' }),
    input: string('Read an archive made by "save" instead of an image of the engine', { short: 'i', complete: 'file' }),
    output: string('Write to a file, instead of STDOUT', { short: 'o', complete: 'file' }),
    platform: string('Platform of the image, as "os[/arch[/variant]]"'),
  },
  args: { min: 0, max: 1 },
  complete: 'image',
  async run(cli, { flags, args }) {
    const format = ['table', 'spdx', 'cyclonedx', 'json'].find((name) => name === flags.format);
    if (format === undefined) {
      throw new CommandError(`no format ${JSON.stringify(flags.format)}: use table, spdx, cyclonedx or json`);
    }
    const { name, id, inventory } = await inventoryOfImage(cli, args[0], flags);
    const epoch = cli.env['SOURCE_DATE_EPOCH'];
    const created = new Date(epoch === undefined ? Date.now() : Number(epoch) * 1000).toISOString();
    const subject: DocumentSubject = { name, id, created: created.replace(/\.\d+Z$/, 'Z'), toolVersion: VERSION };
    const text = {
      table: () =>
        formatRows(
          {
            columns: ['Type', 'Name', 'Version', 'License', 'Path'],
            headers: {},
            typeName: 'sbom',
          },
          inventory.packages.map((found) => ({
            Type: found.type,
            Name: found.name,
            Version: found.version,
            License: found.license ?? '',
            Path: found.path,
          })),
          { escape: cli.io.stdout.isTTY },
        ),
      spdx: () => `${JSON.stringify(spdxDocument(inventory, subject), null, 2)}\n`,
      cyclonedx: () => `${JSON.stringify(cycloneDxDocument(inventory, subject), null, 2)}\n`,
      json: () => `${JSON.stringify(inventory, null, 2)}\n`,
    }[format as 'table']();
    for (const note of inventory.notes) cli.warn(`Note: ${note}`);
    if (flags.output === '' || flags.output === '-') cli.io.stdout.write(text);
    else await writeStream(cli, flags.output, async () => once(Buffer.from(text)), 'save');
    return 0;
  },
});

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
