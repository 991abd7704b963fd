/**
 * Colouring of small undirected graphs: which vertices may be treated alike because no edge joins two of them.
 *
 * Three greedy orders that Ganeti's hroller tries, with its rule for ties, so that equal input gives equal groups; and
 * one of our own that starts from a colouring and often needs fewer colours, never more. Deterministic; input is never
 * changed.
 */

/**
 * An undirected graph: each edge is listed at both its ends. Edges may repeat and a vertex may be its own neighbour:
 * neither affects what is a proper colouring, but both count in the degree, which decides the order.
 */
export interface Graph {
  readonly size: number;
  /** The neighbours of v are `neighbours[start[v]]` to `neighbours[start[v + 1] - 1]`. */
  readonly start: Int32Array;
  readonly neighbours: Int32Array;
}

/** The colour of each vertex, from 0 on without gaps. */
export type Colouring = Int32Array;

/** @param edges from, to, from, to, …; both directions of each */
export function graphOf(size: number, edges: readonly number[]): Graph {
  const start = new Int32Array(size + 1);
  for (let at = 0; at < edges.length; at += 2) start[edges[at]! + 1]! += 1;
  for (let v = 0; v < size; v++) start[v + 1]! += start[v]!;
  const neighbours = new Int32Array(edges.length / 2);
  const next = start.slice(0, size);
  for (let at = 0; at < edges.length; at += 2) neighbours[next[edges[at]!]!++] = edges[at + 1]!;
  return { size, start, neighbours };
}

export function degree(graph: Graph, vertex: number): number {
  return graph.start[vertex + 1]! - graph.start[vertex]!;
}

export function colourCount(colours: Colouring): number {
  let count = 0;
  for (const colour of colours) if (colour >= count) count = colour + 1;
  return count;
}

/** The vertices of each colour, ascending. */
export function colourClasses(colours: Colouring): readonly (readonly number[])[] {
  const classes: number[][] = Array.from({ length: colourCount(colours) }, () => []);
  colours.forEach((colour, vertex) => {
    classes[colour]!.push(vertex);
  });
  return classes;
}

/** Each vertex, in the order given, gets the first colour that none of its neighbours has. */
export function colourInOrder(graph: Graph, order: readonly number[]): Colouring {
  const colours = new Int32Array(graph.size).fill(-1);
  const taken_by = new Int32Array(graph.size + 1).fill(-1);
  for (const vertex of order) colours[vertex] = firstFree(graph, colours, vertex, taken_by);
  return colours;
}

/** Largest degree first, of equal ones the last vertex first. */
export function colourLargestFirst(graph: Graph): Colouring {
  return colourInOrder(
    graph,
    verticesOf(graph).sort((a, b) => degree(graph, b) - degree(graph, a) || b - a),
  );
}

/** Next comes the vertex whose neighbours have most colours between them, then by degree, then the last one. */
export function colourDsatur(graph: Graph): Colouring {
  return colourDynamically(graph, true);
}

/** Next comes the vertex with most coloured neighbours, then by degree, then the last one. */
export function colourDcolor(graph: Graph): Colouring {
  return colourDynamically(graph, false);
}

/**
 * Reduces the colours of a proper colouring: colours the graph anew, class by class in changing orders. Vertices of one
 * class are not adjacent, so no pass needs more colours than the one before, and some need fewer. Ends after `passes`,
 * or at once when a clique shows that it cannot be done with fewer.
 */
export function reduceColours(graph: Graph, colours: Colouring, passes: number): Colouring {
  let best = colours;
  let count = colourCount(best);
  const bound = cliqueBound(graph);
  let current = best;
  for (let pass = 0; pass < passes && count > bound; pass++) {
    current = colourInOrder(graph, reordered(colourClasses(current), pass).flat());
    const now = colourCount(current);
    if (now < count) {
      best = current;
      count = now;
    }
  }
  return best;
}

/** The size of a clique, found greedily from each vertex: no proper colouring has fewer colours. */
export function cliqueBound(graph: Graph): number {
  const words = (graph.size + 31) >>> 5;
  const adjacent = new Int32Array(graph.size * words);
  for (let v = 0; v < graph.size; v++) {
    for (let at = graph.start[v]!; at < graph.start[v + 1]!; at++) {
      const other = graph.neighbours[at]!;
      if (other !== v) adjacent[v * words + (other >>> 5)]! |= 1 << (other & 31);
    }
  }
  const by_degree = verticesOf(graph).sort((a, b) => degree(graph, b) - degree(graph, a) || a - b);
  let bound = 0;
  const candidates = new Int32Array(words);
  for (const first of by_degree) {
    if (degree(graph, first) < bound) continue;
    candidates.set(adjacent.subarray(first * words, (first + 1) * words));
    let size = 1;
    for (const v of by_degree) {
      if ((candidates[v >>> 5]! & (1 << (v & 31))) === 0) continue;
      size += 1;
      for (let word = 0; word < words; word++) candidates[word]! &= adjacent[v * words + word]!;
    }
    if (size > bound) bound = size;
  }
  return bound;
}

function verticesOf(graph: Graph): number[] {
  return Array.from({ length: graph.size }, (_, v) => v);
}

/** @param taken_by scratch: which vertex found a colour taken last */
function firstFree(graph: Graph, colours: Int32Array, vertex: number, taken_by: Int32Array): number {
  for (let at = graph.start[vertex]!; at < graph.start[vertex + 1]!; at++) {
    const colour = colours[graph.neighbours[at]!]!;
    if (colour >= 0) taken_by[colour] = vertex;
  }
  let colour = 0;
  while (taken_by[colour] === vertex) colour += 1;
  return colour;
}

function colourDynamically(graph: Graph, by_saturation: boolean): Colouring {
  const { size, start, neighbours } = graph;
  const colours = new Int32Array(size).fill(-1);
  const taken_by = new Int32Array(size + 1).fill(-1);
  /** How urgent each vertex is: coloured edges, or distinct colours at their ends. */
  const urgency = new Int32Array(size);
  const seen = by_saturation ? new Uint8Array(size * size) : null;
  for (let round = 0; round < size; round++) {
    let chosen = -1;
    for (let v = 0; v < size; v++) {
      if (colours[v]! >= 0) continue;
      if (chosen >= 0) {
        const by_urgency = urgency[v]! - urgency[chosen]!;
        if (by_urgency < 0 || (by_urgency === 0 && degree(graph, v) < degree(graph, chosen))) continue;
      }
      chosen = v;
    }
    const colour = firstFree(graph, colours, chosen, taken_by);
    colours[chosen] = colour;
    for (let at = start[chosen]!; at < start[chosen + 1]!; at++) {
      const other = neighbours[at]!;
      if (seen !== null) {
        if (seen[other * size + colour] === 1) continue;
        seen[other * size + colour] = 1;
      }
      urgency[other]! += 1;
    }
  }
  return colours;
}

/**
 * The classes in another order: reversed, smallest first and largest first in turn, which lets a few vertices slip into
 * other classes each time; every fourth pass rotated, so that passes do not repeat.
 */
export function reordered(
  classes: readonly (readonly number[])[],
  pass: number,
): readonly (readonly number[])[] {
  const reversed = classes.toReversed();
  switch (pass % 4) {
    case 0:
      return reversed;
    case 1:
      return reversed.sort((a, b) => b.length - a.length);
    case 2:
      return reversed.sort((a, b) => a.length - b.length);
    default: {
      const by = pass % classes.length;
      return [...classes.slice(by), ...classes.slice(0, by)];
    }
  }
}
