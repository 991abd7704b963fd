/** Proper colourings, with the ties that hroller's groups depend on, and never more colours after a reduction. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  type Colouring,
  cliqueBound,
  colourClasses,
  colourCount,
  colourDcolor,
  colourDsatur,
  colourLargestFirst,
  type Graph,
  graphOf,
  reduceColours,
} from './graph-colour.ts';

const undirected = (size: number, pairs: readonly (readonly [number, number])[]): Graph =>
  graphOf(
    size,
    pairs.flatMap(([a, b]) => [a, b, b, a]),
  );
const algorithms: readonly (readonly [string, (graph: Graph) => Colouring])[] = [
  ['largest first', colourLargestFirst],
  ['DSatur', colourDsatur],
  ['Dcolor', colourDcolor],
];

function assertProper(graph: Graph, colours: Colouring): void {
  for (let v = 0; v < graph.size; v++) {
    assert.ok(colours[v]! >= 0);
    for (let at = graph.start[v]!; at < graph.start[v + 1]!; at++) {
      const other = graph.neighbours[at]!;
      if (other !== v) assert.notEqual(colours[v], colours[other], `${v} and ${other} are neighbours`);
    }
  }
  const used = new Set(colours);
  for (let colour = 0; colour < used.size; colour++) assert.ok(used.has(colour), 'no gaps');
}

const cycle = (size: number): Graph =>
  undirected(
    size,
    Array.from({ length: size }, (_, v) => [v, (v + 1) % size]),
  );
const complete = (size: number): Graph =>
  undirected(
    size,
    Array.from({ length: size }, (_, a) => Array.from({ length: a }, (_, b) => [a, b] as const)).flat(),
  );

/** About half of all pairs are joined, always the same ones. */
function halfDense(size: number): Graph {
  const pairs: [number, number][] = [];
  let state = 1;
  for (let a = 0; a < size; a++) {
    for (let b = 0; b < a; b++) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      if (state >= 2 ** 31) pairs.push([a, b]);
    }
  }
  return undirected(size, pairs);
}

describe('graph colouring', () => {
  for (const [name, colour] of algorithms) {
    it(`${name}: graphs whose number of colours is known`, () => {
      const known: readonly (readonly [string, Graph, number])[] = [
        ['nothing', undirected(0, []), 0],
        ['no edges', undirected(4, []), 1],
        ['one that is its own neighbour', graphOf(1, [0, 0]), 1],
        ['an even cycle', cycle(6), 2],
        ['an odd cycle', cycle(7), 3],
        ['a complete one', complete(9), 9],
      ];
      for (const [what, graph, count] of known) {
        const colours = colour(graph);
        assertProper(graph, colours);
        assert.equal(colourCount(colours), count, what);
        assert.equal(colourCount(reduceColours(graph, colours, 40)), count, what);
      }
    });
  }

  it('ties go to the last vertex', () => {
    // A path of four: greedy orders differ only by ties. As hroller has it: 1 and 2 have degree 2, 2 is the last.
    const path = undirected(4, [
      [0, 1],
      [1, 2],
      [2, 3],
    ]);
    for (const [name, colour] of algorithms) assert.deepEqual([...colour(path)], [0, 1, 0, 1], name);
    assert.deepEqual(colourClasses(colourDsatur(path)), [
      [0, 2],
      [1, 3],
    ]);
  });

  it('repeated edges count in the degree', () => {
    const twice = undirected(3, [
      [0, 1],
      [0, 1],
      [1, 2],
    ]);
    assert.deepEqual([...colourLargestFirst(twice)], [1, 0, 1]);
    const thrice = graphOf(3, [0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 1, 2, 2, 1]);
    assert.deepEqual([...colourLargestFirst(thrice)], [1, 0, 1]);
  });

  it('needs fewer colours after a reduction where greedy orders were unlucky', () => {
    const graph = halfDense(100);
    const greedy = algorithms.map(([, colour]) => colour(graph));
    const least = Math.min(...greedy.map(colourCount));
    const unlucky = greedy.find((colours) => colourCount(colours) === least)!;
    const fewer = reduceColours(graph, unlucky, 100);
    assertProper(graph, fewer);
    assert.ok(colourCount(fewer) < least, `${colourCount(fewer)} of ${least}`);
    assert.ok(cliqueBound(graph) <= colourCount(fewer));
  });

  it('holds for any graph', () => {
    const graphs = fc
      .integer({ min: 1, max: 24 })
      .chain((size) =>
        fc.tuple(
          fc.constant(size),
          fc.array(fc.tuple(fc.nat(size - 1), fc.nat(size - 1)), { maxLength: 120 }),
        ),
      );
    fc.assert(
      fc.property(graphs, ([size, pairs]) => {
        const graph = undirected(size, pairs);
        const bound = cliqueBound(graph);
        for (const [, colour] of algorithms) {
          const colours = colour(graph);
          assertProper(graph, colours);
          assert.ok(colourCount(colours) >= bound);
          const fewer = reduceColours(graph, colours, 12);
          assertProper(graph, fewer);
          assert.ok(colourCount(fewer) <= colourCount(colours) && colourCount(fewer) >= bound);
        }
      }),
    );
  });
});
