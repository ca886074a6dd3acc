// OpenAI's own SDK for Node.

import OpenAI, { toFile } from 'openai';
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { LARGE, noting, PLACE, QUESTION, serve, SOUND } from './serving.mjs';

const messages = [{ role: 'user', content: QUESTION }];
const tool = { type: 'function', function: { name: 'weather', description: 'The weather.', parameters: PLACE } };
const responsesTool = { type: 'function', name: 'weather', parameters: PLACE, strict: true };
const Weather = z.object({ city: z.string(), degrees: z.number() });

const client = (target) =>
  new OpenAI({ baseURL: target.url + '/v1', apiKey: target.key, maxRetries: target.retries, fetch: noting(target) });
const usage = (told) => ({ input: told.prompt_tokens, output: told.completion_tokens });

async function chat(target) {
  const answer = await client(target).chat.completions.create({ model: target.model, messages });
  return { text: answer.choices[0].message.content, ...usage(answer.usage) };
}

async function stream(target) {
  const options = { model: target.model, messages, stream: true, stream_options: { include_usage: true } };
  const chunks = await Array.fromAsync(await client(target).chat.completions.create(options));
  const pieces = chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.delta.content)).filter(Boolean);
  return { text: pieces.join(''), pieces: pieces.length, ...usage(chunks.at(-1).usage) };
}

async function tools(target) {
  const options = { model: target.model, tools: [tool] };
  const asked = await client(target).chat.completions.create({ ...options, messages });
  const said = asked.choices[0].message;
  const [call] = said.tool_calls;
  const more = [...messages, said, { role: 'tool', tool_call_id: call.id, content: '7 degrees' }];
  const answer = await client(target).chat.completions.create({ ...options, messages: more });
  const given = JSON.parse(call.function.arguments);
  return { tool: call.function.name, given, text: answer.choices[0].message.content };
}

async function streamTools(target) {
  const stream_options = { include_usage: true };
  const running = client(target).chat.completions.stream({ model: target.model, messages, tools: [tool], stream_options });
  const [call] = (await running.finalChatCompletion()).choices[0].message.tool_calls;
  return { tool: call.function.name, given: JSON.parse(call.function.arguments) };
}

async function structured(target) {
  const response_format = zodResponseFormat(Weather, 'weather');
  const answer = await client(target).chat.completions.parse({ model: target.model, messages, response_format });
  return answer.choices[0].message.parsed;
}

const ofResponse = (answer) => ({
  text: answer.output_text,
  input: answer.usage.input_tokens,
  output: answer.usage.output_tokens,
});

async function responses(target) {
  return ofResponse(await client(target).responses.create({ model: target.model, input: QUESTION }));
}

async function streamResponses(target) {
  const running = client(target).responses.stream({ model: target.model, input: QUESTION });
  let pieces = 0;
  for await (const event of running) pieces += event.type === 'response.output_text.delta';
  return { ...ofResponse(await running.finalResponse()), pieces };
}

async function responsesTools(target) {
  const options = { model: target.model, tools: [responsesTool] };
  const asked = await client(target).responses.create({ ...options, input: messages });
  const [call] = asked.output;
  const result = { type: 'function_call_output', call_id: call.call_id, output: '7 degrees' };
  const answer = await client(target).responses.create({ ...options, input: [...messages, call, result] });
  return { tool: call.name, given: JSON.parse(call.arguments), text: answer.output_text };
}

async function responsesStructured(target) {
  const text = { format: zodTextFormat(Weather, 'weather') };
  return (await client(target).responses.parse({ model: target.model, input: QUESTION, text })).output_parsed;
}

async function embeddings(target) {
  const options = { model: target.model, input: ['a', 'b'], encoding_format: 'float' };
  const answer = await client(target).embeddings.create(options);
  return { vectors: answer.data.map((one) => one.embedding), input: answer.usage.prompt_tokens };
}

async function images(target) {
  const answer = await client(target).images.generate({ model: target.model, prompt: 'A fjord.', n: 2 });
  const { input_tokens: input, output_tokens: output } = answer.usage;
  return { images: answer.data.filter((one) => one.b64_json).length, input, output };
}

async function speech(target) {
  const answer = await client(target).audio.speech.create({ model: target.model, voice: 'alloy', input: 'Hello.' });
  return { bytes: (await answer.arrayBuffer()).byteLength, type: answer.headers.get('content-type') };
}

async function transcription(target) {
  const file = await toFile(SOUND, 'a.wav', { type: 'audio/wav' });
  const answer = await client(target).audio.transcriptions.create({ model: target.model, file });
  return { text: answer.text, usage: answer.usage.type };
}

async function moderation(target) {
  const [result] = (await client(target).moderations.create({ model: target.model, input: 'Hello.' })).results;
  return { flagged: result.flagged, harassment: result.categories.harassment };
}

async function large(target) {
  const messages = [{ role: 'user', content: LARGE }];
  return await client(target).chat.completions.create({ model: target.model, messages });
}

/** A chat beside another one that runs with the same key. */
async function patient(target) {
  const busy = client({ ...target, leftAt: [] });
  const running = (await busy.chat.completions.create({ model: target.model, messages, stream: true }))[Symbol.asyncIterator]();
  await running.next();
  const rest = (async () => {
    while (!(await running.next()).done);
  })();
  const answer = await chat(target);
  await rest;
  return answer;
}

await serve({
  chat,
  stream,
  tools,
  structured,
  responses,
  embeddings,
  images,
  speech,
  transcription,
  moderation,
  large,
  patient,
  'stream tools': streamTools,
  'stream responses': streamResponses,
  'responses tools': responsesTools,
  'responses structured': responsesStructured,
});
