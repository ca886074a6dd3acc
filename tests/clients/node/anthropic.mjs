// Anthropic's own SDK for Node.

import Anthropic from '@anthropic-ai/sdk';
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod';
import { z } from 'zod';
import { LARGE, noting, PLACE, QUESTION, serve } from './serving.mjs';

const messages = [{ role: 'user', content: QUESTION }];
const tools = [{ name: 'weather', description: 'The weather.', input_schema: PLACE }];
const thinking = { type: 'enabled', budget_tokens: 1024 };

const Weather = z.object({ city: z.string(), degrees: z.number() });

const client = (target) =>
  new Anthropic({ baseURL: target.url, apiKey: target.key, maxRetries: target.retries, fetch: noting(target) });
const asked = (target, more = {}) => ({ model: target.model, max_tokens: 2048, messages, ...more });
const text = (answer) => answer.content.filter((block) => block.type === 'text').map((block) => block.text).join('');
const ofMessage = (answer) => ({
  text: text(answer),
  input: answer.usage.input_tokens,
  output: answer.usage.output_tokens,
});
const thoughts = (answer) => {
  const [{ thinking, signature }] = answer.content;
  return { thought: thinking, signature, text: text(answer) };
};

async function whole(target) {
  return ofMessage(await client(target).messages.create(asked(target)));
}

async function stream(target) {
  const running = client(target).messages.stream(asked(target));
  let pieces = 0;
  running.on('text', () => (pieces += 1));
  return { ...ofMessage(await running.finalMessage()), pieces };
}

async function callTools(target) {
  const first = await client(target).messages.create(asked(target, { tools }));
  const [call] = first.content;
  const result = { type: 'tool_result', tool_use_id: call.id, content: '7 degrees' };
  const more = [...messages, { role: 'assistant', content: first.content }, { role: 'user', content: [result] }];
  const answer = await client(target).messages.create(asked(target, { tools, messages: more }));
  return { tool: call.name, given: call.input, text: text(answer) };
}

async function streamTools(target) {
  const [call] = (await client(target).messages.stream(asked(target, { tools })).finalMessage()).content;
  return { tool: call.name, given: call.input };
}

async function structured(target) {
  const output_config = { format: zodOutputFormat(Weather) };
  return (await client(target).messages.parse(asked(target, { output_config }))).parsed_output;
}

async function think(target) {
  return thoughts(await client(target).messages.create(asked(target, { thinking })));
}

async function streamThinking(target) {
  return thoughts(await client(target).messages.stream(asked(target, { thinking })).finalMessage());
}

async function countTokens(target) {
  return { input: (await client(target).messages.countTokens({ model: target.model, messages })).input_tokens };
}

async function large(target) {
  return await client(target).messages.create(asked(target, { messages: [{ role: 'user', content: LARGE }] }));
}

/** A message beside another one that runs with the same key. */
async function patient(target) {
  const busy = client({ ...target, leftAt: [] }).messages.stream(asked(target));
  await busy.emitted('text');
  const answer = await whole(target);
  await busy.done();
  return answer;
}

await serve({
  messages: whole,
  thinking: think,
  large,
  patient,
  'messages structured': structured,
  'stream messages': stream,
  'messages tools': callTools,
  'stream messages tools': streamTools,
  'stream thinking': streamThinking,
  'count tokens': countTokens,
});
