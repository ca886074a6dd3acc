// Vercel's AI SDK with its providers for OpenAI, Anthropic and whatever speaks as OpenAI does.

import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import {
  embedMany,
  experimental_generateSpeech as generateSpeech,
  experimental_transcribe as transcribe,
  generateImage,
  generateObject,
  generateText,
  stepCountIs,
  streamText,
  tool,
} from 'ai';
import { z } from 'zod';
import { noting, QUESTION, serve, SOUND } from './serving.mjs';

const compatible = (target) =>
  createOpenAICompatible({
    name: 'tollgate',
    baseURL: target.url + '/v1',
    apiKey: target.key,
    includeUsage: true,
    supportsStructuredOutputs: true,
    fetch: noting(target),
  });
const openai = (target) => createOpenAI({ baseURL: target.url + '/v1', apiKey: target.key, fetch: noting(target) });
const anthropic = (target) =>
  createAnthropic({ baseURL: target.url + '/v1', apiKey: target.key, fetch: noting(target) });

const Weather = z.object({ city: z.string(), degrees: z.number() });
const weather = tool({
  description: 'The weather.',
  inputSchema: z.object({ city: z.string() }),
  execute: async () => '7 degrees',
});
const usage = (told) => ({ input: told.inputTokens, output: told.outputTokens });

const whole = (provider) => async (target) => {
  const answer = await generateText({ model: provider(target)(target.model), prompt: QUESTION, maxRetries: target.retries });
  return { text: answer.text, ...usage(answer.totalUsage) };
};

const stream = (provider) => async (target) => {
  let failed;
  const onError = ({ error }) => (failed = error);
  const running = streamText({ model: provider(target)(target.model), prompt: QUESTION, maxRetries: target.retries, onError });
  const pieces = await Array.fromAsync(running.textStream);
  if (failed) throw failed;
  return { text: pieces.join(''), pieces: pieces.length, ...usage(await running.totalUsage) };
};

const tools = (provider) => async (target) => {
  const model = provider(target)(target.model);
  const answer = await generateText({ model, prompt: QUESTION, tools: { weather }, stopWhen: stepCountIs(2) });
  const [call] = answer.steps[0].toolCalls;
  return { tool: call.toolName, given: call.input, text: answer.text };
};

const structured = (provider) => async (target) =>
  (await generateObject({ model: provider(target)(target.model), prompt: QUESTION, schema: Weather })).object;

async function embeddings(target) {
  const model = openai(target).embedding(target.model);
  const answer = await embedMany({ model, values: ['a', 'b'] });
  return { vectors: answer.embeddings, input: answer.usage.tokens };
}

async function images(target) {
  const answer = await generateImage({ model: openai(target).image(target.model), prompt: 'A fjord.', n: 2 });
  return { images: answer.images.length };
}

async function speech(target) {
  const answer = await generateSpeech({ model: openai(target).speech(target.model), text: 'Hello.' });
  return { bytes: answer.audio.uint8Array.byteLength, type: answer.audio.mediaType };
}

async function transcription(target) {
  const answer = await transcribe({ model: openai(target).transcription(target.model), audio: SOUND });
  return { text: answer.text };
}

async function thinking(target) {
  const providerOptions = { anthropic: { thinking: { type: 'enabled', budgetTokens: 1024 } } };
  const answer = await generateText({ model: anthropic(target)(target.model), prompt: QUESTION, providerOptions });
  return { thought: answer.reasoningText, text: answer.text };
}

await serve({
  chat: whole(compatible),
  stream: stream(compatible),
  tools: tools(compatible),
  structured: structured(compatible),
  responses: whole(openai),
  messages: whole(anthropic),
  embeddings,
  images,
  speech,
  thinking,
  transcription,
  'messages structured': structured(anthropic),
  'stream responses': stream(openai),
  'responses tools': tools(openai),
  'responses structured': structured(openai),
  'stream messages': stream(anthropic),
  'messages tools': tools(anthropic),
});
