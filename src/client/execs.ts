import type { ExecCreateRequest, ExecInspect, ExecStartRequest } from '../api/exec.ts';
import { segment } from './query.ts';
import type { HijackedStream, Requester } from './requester.ts';

/** `/exec` */
export class ExecsClient {
  readonly #requester: Requester;

  constructor(requester: Requester) {
    this.#requester = requester;
  }

  create(container: string, request: ExecCreateRequest): Promise<{ Id: string }> {
    return this.#requester.json('POST', `/containers/${segment(container)}/exec`, { json: request });
  }

  async startDetached(id: string, request: ExecStartRequest): Promise<void> {
    await this.#requester.call('POST', `/exec/${segment(id)}/start`, { json: { ...request, Detach: true } });
  }

  start(id: string, request: ExecStartRequest, signal?: AbortSignal): Promise<HijackedStream> {
    return this.#requester.hijack(`/exec/${segment(id)}/start`, { json: { ...request, Detach: false }, signal });
  }

  inspect(id: string): Promise<ExecInspect> {
    return this.#requester.json('GET', `/exec/${segment(id)}/json`);
  }

  async resize(id: string, size: { rows: number; columns: number }): Promise<void> {
    await this.#requester.call('POST', `/exec/${segment(id)}/resize`, { query: { h: size.rows, w: size.columns } });
  }
}
