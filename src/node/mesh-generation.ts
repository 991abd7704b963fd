/**
 * A number that rises with every life of this host's agent, so that a peer can tell a new connection from an old
 * one's remains. Wall-clock milliseconds: two lives are never closer than the keeper's back-off.
 */
import type { Env } from './real-env.ts';

export const meshGeneration = (env: Pick<Env, 'wall_s'>): number => Math.floor(env.wall_s() * 1000);
