/** The client as a door of its own: `import { Client } from 'gantry/client'`. */
export { Client } from './client.ts';
export { type Endpoint, parseEndpoint, type TlsMaterial } from './endpoint.ts';
export { demultiplex, type OutputPart } from './multiplex.ts';
export { API_VERSION, type ClientOptions, type HijackedStream, type RequestOptions } from './requester.ts';
export { ResponseError } from './response-error.ts';
