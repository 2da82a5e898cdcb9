import type { Case } from './buildx-cases.ts';

export const COMPOSE_CASES: readonly Case[] = [];
