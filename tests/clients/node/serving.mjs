// A client as a process, as tests/clients/programs/serving.py: a line says what to do, a line answers what was seen.

import { createInterface } from 'node:readline';

export const PLACE = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
};
export const QUESTION = 'What is the weather in Oslo?';
/** More than the gateway of these tests takes. */
export const LARGE = 'far too much '.repeat(250_000);
export const SOUND = Buffer.concat([Buffer.from('RIFF'), Buffer.from([...Array(256).keys()])]);

/** fetch, noting in the target when each request leaves. */
export const noting = (target) => (url, init) => {
  target.leftAt.push(performance.now() / 1000);
  return fetch(url, init);
};

function told(error) {
  const body = error.error ?? error.data ?? {};
  const inner = body.error ?? body;
  return {
    class: error.name.startsWith('AI_') ? error.name : error.constructor.name,
    status: error.status ?? error.statusCode ?? null,
    type: inner.type ?? null,
    code: inner.code ?? null,
    message: inner.message ?? null,
    retry_after: error.headers?.get?.('retry-after') ?? null,
    text: String(error.stack).slice(-3000),
  };
}

async function done(capability, target) {
  const answer = {};
  try {
    answer.seen = await capability(target);
  } catch (error) {
    answer.error = told(error);
  }
  answer.requests = target.leftAt.length;
  answer.gaps = target.leftAt.slice(1).map((later, place) => later - target.leftAt[place]);
  return answer;
}

export async function serve(program) {
  // What a library prints must not stand between the answers.
  console.log = console.info = console.error;
  for await (const line of createInterface({ input: process.stdin })) {
    const { do: name, ...order } = JSON.parse(line);
    process.stdout.write(JSON.stringify(await done(program[name], { ...order, leftAt: [] })) + '\n');
  }
}
