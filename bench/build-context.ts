import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A small program of a few steps, as the benchmarks of builds have it by every door. */
export const APP = `FROM busybox
WORKDIR /app
COPY package.json .
RUN echo install > installed
COPY src src
RUN cat src/* > all
CMD ["cat", "/app/all"]
`;

/** A build context with a Dockerfile, a manifest and ten small sources. */
export function makeContext(directory: string, dockerfile: string): string {
  mkdirSync(join(directory, 'src'), { recursive: true });
  writeFileSync(join(directory, 'Dockerfile'), dockerfile);
  writeFileSync(join(directory, 'package.json'), '{}');
  for (let i = 0; i < 10; i++) writeFileSync(join(directory, 'src', `${i}.js`), `// ${i}\n`);
  return directory;
}

/** 10,000 files of 1 KiB in 100 directories. */
export function manyFiles(directory: string): void {
  for (let d = 0; d < 100; d++) {
    mkdirSync(join(directory, `d${d}`), { recursive: true });
    for (let f = 0; f < 100; f++) writeFileSync(join(directory, `d${d}`, `${f}.txt`), randomBytes(1024));
  }
}
