/** Fails when a file in `src/` imports across the tables in `layers.ts`. Run by `npm run check`. */
import { glob, readFile } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import { BUILTINS, LAYERS, PACKAGES } from './layers.ts';

// `verbatimModuleSyntax` and the formatter keep every import in one of these shapes.
const IMPORT =
  /^(?:import|export)\b[^'"]*?\bfrom\s*['"]([^'"]+)['"]|^import\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm;

const problems: string[] = [];
let files = 0;

for await (const file of glob(['src/**/*.ts', 'src/**/*.tsx'])) {
  files++;
  const layer = layerOf(file);
  const text = await readFile(file, 'utf8');
  for (const match of text.matchAll(IMPORT)) {
    const target = (match[1] ?? match[2] ?? match[3])!;
    const line = text.slice(0, match.index).split('\n').length;
    const complaint = judge(file, layer, target);
    if (complaint) problems.push(`${file}:${line}: ${complaint}`);
  }
}

/** The folder below `src/`, or undefined for the doors in `src/` itself, which may import anything. */
function layerOf(path: string): string | undefined {
  const parts = normalize(path).split('/');
  return parts.length > 2 ? parts[1] : undefined;
}

function judge(file: string, layer: string | undefined, target: string): string | undefined {
  if (layer === undefined) return undefined;
  const allowed = LAYERS[layer];
  if (!allowed) return `the folder ${layer} is not in tools/layers.ts`;
  if (target.startsWith('.')) {
    if (!/\.(ts|tsx|json)$/.test(target)) return `import ${target} must name its file with .ts`;
    const other = layerOf(join(dirname(file), target));
    if (other !== undefined && other !== layer && !allowed.includes(other)) {
      return `${layer} may not import ${other} (allowed: ${allowed.join(', ') || 'nothing'})`;
    }
    return undefined;
  }
  if (target.startsWith('node:')) {
    const only = BUILTINS[target];
    return only && !only.includes(layer) && !file.endsWith('.test.ts')
      ? `${target} is only for ${only.join(', ')}`
      : undefined;
  }
  if (file.endsWith('.test.ts')) return undefined;
  const name = target.startsWith('@') ? target.split('/').slice(0, 2).join('/') : target.split('/')[0]!;
  const users = PACKAGES[name];
  if (!users) return `the package ${name} is not in tools/layers.ts`;
  return users.includes(layer) ? undefined : `${layer} may not import the package ${name} (only ${users.join(', ')})`;
}

for (const problem of problems) console.error(problem);
console.log(`layers: ${files} files, ${problems.length} problems`);
process.exitCode = problems.length > 0 ? 1 : 0;
