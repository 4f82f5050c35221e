"""Chat templates in Transformers: what `Conversations` must give.

    python -I conversations.py write FOLDER [TEMPLATE ...]    writes tokenizers with templates, and cases with what Transformers
                                                              makes of them
    python -I conversations.py check MASKS FOLDER             compares a masks folder of `score --messages-field` with the cases

The templates are written for this test from what their vendors say of their prompt formats, in the manner of the templates
that models come with: macros, namespaces, slices, whitespace control, `tojson`, `raise_exception`. They are no copies.
"""

import json
import re
import sys
from pathlib import Path

# To check a folder, another environment has what is needed.
if sys.argv[1:2] == ["write"]:
    from jinja2.exceptions import TemplateError
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

DEMO = Path(__file__).parent.parent / "models" / "demo" / "tokenizer.json"

# By name: the template, its special tokens (bos, eos, others), and the kind of tokenizer.
TEMPLATES = {}


def template(name, source, bos=None, eos=None, others=(), kind="bytes"):
    TEMPLATES[name] = dict(source=source, bos=bos, eos=eos, others=list(others), kind=kind)


CHATML = ["<|im_start|>", "<|im_end|>"]
LLAMA = ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>", "<|python_tag|>"]

template("chatml", """{% for message in messages %}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}
{%- endfor %}
{% if add_generation_prompt %}
{{ '<|im_start|>assistant\\n' }}
{%- endif %}
""", eos="<|im_end|>", others=CHATML)

template("llama-3.1", """{{- bos_token }}
{%- if tools is not defined or not tools %}
    {%- set tools = none %}
{%- endif %}
{%- if not date_string is defined %}{%- set date_string = "26 Jul 2024" %}{%- endif %}
{#- The system text always has the dates. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content']|trim %}
    {%- set rest = messages[1:] %}
{%- else %}
    {%- set system = "" %}
    {%- set rest = messages %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}{{- "Environment: ipython\\n" }}{%- endif %}
{{- "Cutting Knowledge Date: December 2023\\nToday Date: " + date_string + "\\n\\n" + system + "<|eot_id|>" }}
{%- if tools is not none and rest|length != 0 %}
    {%- set first = rest[0]['content']|trim %}
    {%- set rest = rest[1:] %}
    {{- '<|start_header_id|>user<|end_header_id|>\\n\\nFunctions:\\n\\n' }}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
    {{- first + "<|eot_id|>" }}
{%- endif %}
{%- for message in rest %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("one tool call at once") }}
        {%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n{"name": "' + call.name + '", "parameters": ' }}
        {{- call.arguments | tojson }}
        {{- "}<|eot_id|>" }}
    {%- else %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""", bos="<|begin_of_text|>", eos="<|eot_id|>", others=LLAMA)

template("llama-2", """{% if messages[0]['role'] == 'system' %}{% set turns = messages[1:] %}{% set system = messages[0]['content'] %}
{% else %}{% set turns = messages %}{% set system = false %}{% endif %}
{% for message in turns %}
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('roles must alternate user/assistant/user/assistant/...') }}
{% endif %}
{% if loop.index0 == 0 and system != false %}
{% set content = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + message['content'] %}
{% else %}{% set content = message['content'] %}{% endif %}
{% if message['role'] == 'user' %}
{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}
{%- elif message['role'] == 'assistant' %}
{{ ' ' + content.strip() + ' ' + eos_token }}
{%- endif %}
{% endfor %}""", bos="<s>", eos="</s>", kind="metaspace")

template("qwen-2.5", """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] }}
    {%- else %}
        {{- 'You are a helpful assistant.' }}
    {%- endif %}
    {{- "\\n\\n# Tools\\n\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}
            {{- '\\n' + message.content }}
        {%- endif %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}
                {%- set tool_call = tool_call.function %}
            {%- endif %}
            {{- '\\n<tool_call>\\n{"name": "' ~ tool_call.name ~ '", "arguments": ' }}
            {{- tool_call.arguments | tojson }}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- message.content }}
        {{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
""", eos="<|im_end|>", others=CHATML)

template("qwen-3", """{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(searching=true, last_query=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.searching and message.role == "user" and message.content is string and not (message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.searching = false %}
        {%- set ns.last_query = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query and (loop.last or (not loop.last and reasoning)) %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {%- for call in message.tool_calls or [] %}
            {%- if (loop.first and content) or (not loop.first) %}{{- '\\n' }}{%- endif %}
            {%- set call = call.function if call.function else call %}
            {{- '<tool_call>\\n{"name": "' }}{{- call.name }}{{- '", "arguments": ' }}
            {%- if call.arguments is string %}{{- call.arguments }}{%- else %}{{- call.arguments | tojson }}{%- endif %}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {{- '<|im_start|>user\\n<tool_response>\\n' + content + '\\n</tool_response><|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
""", eos="<|im_end|>", others=CHATML)

template("mistral-v7", """{{- bos_token }}
{%- for message in messages %}
    {%- if message['role'] == 'user' %}
        {%- if message['content'] is string %}
            {{- '[INST]' + message['content'] + '[/INST]' }}
        {%- else %}
            {{- '[INST]' }}
            {%- for part in message['content'] %}{{- part['text'] }}{%- endfor %}
            {{- '[/INST]' }}
        {%- endif %}
    {%- elif message['role'] == 'system' %}
        {{- '[SYSTEM_PROMPT]' + message['content'] + '[/SYSTEM_PROMPT]' }}
    {%- elif message['role'] == 'assistant' %}
        {{- message['content'] + eos_token }}
    {%- else %}
        {{- raise_exception('Only user, system and assistant roles are supported!') }}
    {%- endif %}
{%- endfor %}""", bos="<s>", eos="</s>", others=["[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"])

template("mistral-v3", """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}{%- set tools = none %}{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace(index=0) %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("After the optional system message, roles must alternate") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}
                        {{- '"' + key + '": "' + val + '"' }}
                    {%- else %}
                        {{- '"' + key + '": ' + val|tojson }}
                    {%- endif %}
                    {%- if not loop.last %}{{- ", " }}{%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" }}{%- endif %}
            {%- endfor %}
            {{- "[/AVAILABLE_TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[TOOL_CALLS] [" }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function|tojson %}
            {{- out[:-1] }}
            {%- if not tool_call.id is defined or tool_call.id|length != 9 %}
                {{- raise_exception("Tool call IDs should be alphanumeric strings with length 9!") }}
            {%- endif %}
            {{- ', "id": "' + tool_call.id + '"}' }}
            {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" + eos_token }}{%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token }}
    {%- elif message["role"] == "tool" %}
        {%- if message.content is defined and message.content.content is defined %}
            {%- set content = message.content.content %}
        {%- else %}
            {%- set content = message.content %}
        {%- endif %}
        {{- '[TOOL_RESULTS] {"content": ' + content|string + "}[/TOOL_RESULTS]" }}
    {%- endif %}
{%- endfor %}
""", bos="<s>", eos="</s>", kind="metaspace",
    others=["[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_CALLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]"])

template("gemma-2", """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate') }}{% endif %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\\n'}}{% endif %}""",
    bos="<bos>", eos="<eos>", kind="metaspace", others=["<start_of_turn>", "<end_of_turn>"])

template("gemma-3", """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set prefix = messages[0]['content'] + '\\n\\n' -%}
    {%- else -%}
        {%- set prefix = messages[0]['content'][0]['text'] + '\\n\\n' -%}
    {%- endif -%}
    {%- set turns = messages[1:] -%}
{%- else -%}
    {%- set prefix = "" -%}
    {%- set turns = messages -%}
{%- endif -%}
{%- for message in turns -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("Conversation roles must alternate user/assistant/user/assistant/...") }}
    {%- endif -%}
    {%- set role = "model" if message['role'] == 'assistant' else message['role'] -%}
    {{ '<start_of_turn>' + role + '\\n' + (prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}
                {{ '<start_of_image>' }}
            {%- elif item['type'] == 'text' -%}
                {{ item['text'] | trim }}
            {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '<end_of_turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<start_of_turn>model\\n'}}
{%- endif -%}
""", bos="<bos>", eos="<eos>", kind="metaspace", others=["<start_of_turn>", "<end_of_turn>"])

template("smollm-3", """{#- Spans of the assistant are marked. -#}
{%- set mode = "/think" -%}
{%- if messages[0].role == "system" -%}
  {%- set system = messages[0].content -%}
  {%- if "/no_think" in system -%}{%- set mode = "/no_think" -%}{%- endif -%}
  {%- set custom = system.replace("/no_think", "").replace("/think", "").rstrip() -%}
{%- endif -%}
{{- "<|im_start|>system\\n## Metadata\\n\\nReasoning Mode: " + mode + "\\n\\n" -}}
{%- if custom is defined and custom != "" -%}{{- custom + "\\n\\n" -}}{%- endif -%}
{%- if tools -%}
  {%- set ns = namespace(text="<tools>\\n") -%}
  {%- for tool in tools -%}
    {%- set ns.text = ns.text ~ (tool | string) ~ "\\n" -%}
  {%- endfor -%}
  {{- ns.text + "</tools>" -}}
{%- endif -%}
{{- "<|im_end|>\\n" -}}
{%- for message in messages -%}
    {%- set content = message.content if message.content is string else "" -%}
    {%- if message.role == "user" -%}
        {{ "<|im_start|>" + message.role + "\\n" + content + "<|im_end|>\\n" }}
    {%- elif message.role == "assistant" -%}
        {{ "<|im_start|>assistant\\n" }}
        {%- generation -%}
        {%- if mode == "/think" -%}
            {{ content.lstrip("\\n") + "<|im_end|>\\n" }}
        {%- else -%}
            {{ "<think>\\n\\n</think>\\n" + content.lstrip("\\n") + "<|im_end|>\\n" }}
        {%- endif -%}
        {%- endgeneration -%}
    {%- elif message.role == "tool" -%}
        {{ "<|im_start|>user\\n" + content + "<|im_end|>\\n" }}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {%- if mode == "/think" -%}{{ "<|im_start|>assistant\\n" }}{%- else -%}{{ "<|im_start|>assistant\\n<think>\\n\\n</think>\\n" }}{%- endif -%}
{%- endif -%}
""", eos="<|im_end|>", others=CHATML)

template("phi-3", """{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}{{'<|system|>\\n' + message['content'] + '<|end|>\\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\\n' + message['content'] + '<|end|>\\n'}}{% elif message['role'] == 'assistant' %}{{'<|assistant|>\\n' + message['content'] + '<|end|>\\n'}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}""",
    bos="<s>", eos="<|endoftext|>", kind="metaspace", others=["<|system|>", "<|user|>", "<|assistant|>", "<|end|>"])

template("phi-4", """{% for message in messages %}{% if (message['role'] == 'system') %}{{'<|im_start|>system<|im_sep|>' + message['content'] + '<|im_end|>'}}{% elif (message['role'] == 'user') %}{{'<|im_start|>user<|im_sep|>' + message['content'] + '<|im_end|>'}}{% elif (message['role'] == 'assistant') %}{{'<|im_start|>assistant<|im_sep|>' + message['content'] + '<|im_end|>'}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}""",
    bos="<|endoftext|>", eos="<|im_end|>", others=CHATML + ["<|im_sep|>"])

template("olmo-2", """{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}{{ '<|system|>\\n' + message['content'] + '\\n' }}{% elif message['role'] == 'user' %}{{ '<|user|>\\n' + message['content'] + '\\n' }}{% elif message['role'] == 'assistant' %}{% if not loop.last %}{{ '<|assistant|>\\n'  + message['content'] + eos_token + '\\n' }}{% else %}{{ '<|assistant|>\\n'  + message['content'] + eos_token }}{% endif %}{% endif %}{% if loop.last and add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}{% endfor %}""",
    bos="<|endoftext|>", eos="<|endoftext|>")

template("zephyr", """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\\n'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}""", bos="<s>", eos="</s>", kind="metaspace")

template("deepseek", """{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}
{%- set ns = namespace(tool=false, first=true, system='') -%}
{%- for message in messages %}{%- if message['role'] == 'system' %}{% set ns.system = message['content'] %}{%- endif %}{%- endfor -%}
{{ bos_token }}{{ ns.system }}
{%- for message in messages %}
  {%- if message['role'] == 'user' %}
    {%- set ns.tool = false -%}
    {{ '<｜User｜>' + message['content'] }}
  {%- endif %}
  {%- if message['role'] == 'assistant' and message['content'] is none %}
    {%- for tool in message['tool_calls'] %}
      {{- ('' if loop.index0 else '<｜Assistant｜>') + tool['type'] + ':' + tool['function']['name'] + '\\n```json\\n' + (tool['function']['arguments'] | tojson(ensure_ascii=true, separators=(',', ':'))) + '\\n```<｜end▁of▁sentence｜>' }}
    {%- endfor %}
  {%- elif message['role'] == 'assistant' %}
    {%- set content = message['content'] %}
    {%- if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}
    {{- '<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>' }}
  {%- endif %}
  {%- if message['role'] == 'tool' %}
    {%- set ns.tool = true -%}
    {{ '<｜tool▁output▁begin｜>' + message['content'] + '<｜tool▁output▁end｜>' }}
  {%- endif %}
{%- endfor -%}
{% if add_generation_prompt and not ns.tool %}{{ '<｜Assistant｜>' }}{% endif %}""",
    bos="<｜begin▁of▁sentence｜>", eos="<｜end▁of▁sentence｜>", others=["<｜User｜>", "<｜Assistant｜>"])

COMMAND = """{{ bos_token }}{%- if messages[0]['role'] == 'system' %}{%- set turns = messages[1:] %}{%- set system_message = messages[0]['content'] %}{%- else %}{%- set turns = messages %}{%- set system_message = false %}{%- endif %}
{%- if system_message != false %}{{ '<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>' + system_message + '<|END_OF_TURN_TOKEN|>' }}{%- endif %}
{%- for message in turns %}
{%- set content = message['content'] %}
{%- if message['role'] == 'user' %}{{ '<|START_OF_TURN_TOKEN|><|USER_TOKEN|>' + content.strip() + '<|END_OF_TURN_TOKEN|>' }}
{%- elif message['role'] == 'assistant' %}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>'  + content.strip() + '<|END_OF_TURN_TOKEN|>' }}
{%- endif %}{%- endfor %}
{%- if add_generation_prompt %}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}{%- endif %}"""
COMMAND_TOOLS = """{%- macro kind(spec) -%}
{%- if spec.type == 'array' and spec['items'] -%}List[{{ kind(spec['items']) }}]
{%- elif spec.type == 'object' -%}Dict
{%- elif spec.type is string -%}{{ {'string': 'str', 'integer': 'int', 'number': 'float', 'boolean': 'bool'}.get(spec.type, spec.type|capitalize) }}
{%- else -%}{{ spec.type | map('replace', 'null', 'None') | join(' | ') }}
{%- endif -%}
{%- endmacro -%}
{%- macro signature(tool, indent=4) -%}
def {{ tool.name }}(
{%- for name, spec in tool.parameters.properties|items %}{{ name }}: {{ kind(spec) }}{{ ' = None' if name not in (tool.parameters.required or []) }}{{ ', ' if not loop.last }}{% endfor -%}
):
{{ (' ' * indent) ~ '\"\"\"' ~ tool.description | replace('\\n', ' ') ~ '\"\"\"' }}
{%- endmacro -%}
{{ bos_token }}<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>## Tools
{% for tool in tools %}
{{ signature(tool.function) }}
{{ tool.function | tojson(indent=2, sort_keys=true) | indent(2, true) }}
{% endfor %}<|END_OF_TURN_TOKEN|>
{%- for message in messages if message.role != 'system' %}
{%- if message.role == 'assistant' -%}
<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{{ message.content or '' }}{% for call in message.tool_calls|default([], true) %}{{ loop.index }}. {{ call.function.name }}{% for key, value in call.function.arguments|dictsort %} {{ key|upper }}={{ value }}{% endfor %};{% endfor %}<|END_OF_TURN_TOKEN|>
{%- else -%}
<|START_OF_TURN_TOKEN|>{% if message.role == 'user' %}<|USER_TOKEN|>{% else %}<|SYSTEM_TOKEN|>{% endif %}{{ message.content }}<|END_OF_TURN_TOKEN|>
{%- endif -%}
{%- endfor -%}
{% if add_generation_prompt %}<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{% endif %}"""
template("command-r", {"default": COMMAND, "tool_use": COMMAND_TOOLS}, bos="<BOS_TOKEN>", eos="<|END_OF_TURN_TOKEN|>",
    others=["<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|SYSTEM_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>"])

template("granite-3", """{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content'] %}{%- set loop_messages = messages[1:] %}
{%- else %}{%- set system_message = "Knowledge Cutoff Date: April 2024." %}{%- if tools and documents %}{%- set system_message = system_message + " Tools and documents." %}{%- elif tools %}{%- set system_message = system_message + " Tools." %}{%- endif %}{%- set loop_messages = messages %}{%- endif %}
{{- '<|start_of_role|>system<|end_of_role|>' + system_message + '<|end_of_text|>\\n' }}
{%- if tools %}
    {{- '<|start_of_role|>tools<|end_of_role|>' }}
    {{- tools | tojson(indent=4) }}
    {{- '<|end_of_text|>\\n' }}
{%- endif %}
{%- for message in loop_messages %}
    {{- '<|start_of_role|>' + message['role'] + '<|end_of_role|>' + (message['content'] | default('', true)) + '<|end_of_text|>\\n' }}
    {%- if loop.last and add_generation_prompt %}
        {{- '<|start_of_role|>assistant' }}
            {%- if controls %}
                {{- ' ' + controls | tojson() }}
            {%- endif %}
        {{- '<|end_of_role|>' }}
    {%- endif %}
{%- endfor %}""", bos="<|end_of_text|>", eos="<|end_of_text|>", others=["<|start_of_role|>", "<|end_of_role|>"])

template("vicuna", """{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'].strip() %}{% set turns = messages[1:] %}{% else %}{% set system = 'A chat between a curious user and an artificial intelligence assistant.' %}{% set turns = messages %}{% endif %}
{{ system }}
{%- for message in turns -%}
{{ ' USER: ' ~ message.content if message.role == 'user' else ' ASSISTANT: ' ~ message.content ~ eos_token }}
{%- endfor -%}
{{ ' ASSISTANT:' if add_generation_prompt }}""", bos="<s>", eos="</s>", kind="metaspace")

template("alpaca", """{%- for message in messages -%}
{%- if message.role == 'system' %}{{ message.content ~ '\\n\\n' }}
{%- elif message.role == 'user' %}{{ '### Instruction:\\n' ~ message.content|trim ~ '\\n\\n' }}
{%- elif message.role == 'assistant' %}{{ '### Response:\\n' ~ message.content|trim ~ eos_token ~ '\\n\\n' }}
{%- endif %}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '### Response:\\n' }}{% endif -%}""", eos="</s>")

# Operations, one by one: what minijinja alone would do in another way.
OPERATIONS = [
    "2 * 3 ~ 1",
    "-x|abs",
    "-x is odd",
    "not x == 5",
    "not x is none",
    "x is defined and not y is defined",
    "1 if x else 2 ~ 3",
    "(1 if x else 2) ~ 3",
    "2 ** 3 ** 2",
    "-2 ** 2",
    "1 + 2 * 3 - 4 // 3 % 2",
    "'a' ~ 'b' * 2",
    "'a' 'b' ~ 'c'",
    "x > 3 and x < 10",
    "1 < x < 10",
    "1 < x > 7",
    "not 1 in [1]",
    "1 not in [1]",
    "x == 5 | string",
    "(x == 5) | string",
    "'a' if x == 5 else 'b' if x else 'c'",
    "x|string ~ 1|string",
    "[1,2,3][1:]|length",
    "'abc'[1:]|upper",
    "d.t.u",
    "d['t']['u']",
    "d.k[1].q",
    "d.k[-1]['q']",
    "x is not none and x is not string",
    "x is not defined or x",
    "not not x",
    "x and e or 'z'",
    "e or x and 'k'",
    "[x, e][0]",
    "{'a': x}.a",
    "{'a': x}['a']",
    "('a' 'b')",
    "(1)",
    "(1,)|length",
    "1_000",
    "0x10",
    "1e3",
    "1.5e-3",
    "'\\n\\t\\x41\\u00e9\\101'",
    "'\\q\\/'",
    "\"it's\" ~ 'q\"'",
    "'\\'' ~ \"\\\"\"",
    "messages[0].content",
    "messages[0]['content']|trim",
    "messages|selectattr('role','equalto','user')|list|length",
    "messages|map(attribute='content')|map('trim')|join('|')",
    "messages[1:]|map(attribute='role')|list",
    "messages|rejectattr('role','in',['user','system'])|map(attribute='role')|join",
    "messages|selectattr('tool_calls','defined')|list|length",
    "(messages|last).role",
    "(messages|first)['role']",
    "messages|length - 1",
    "range(1, 10, 3)|list",
    "range(3)|join(',')",
    "range(5)|map('string')|join",
    "dict(a=1, b=2)",
    "dict(a=1).items()|list",
    "namespace(a=1).a",
    "x|default(3)",
    "y|default(3)",
    "y|d('k')|upper",
    "none|default('k')",
    "none|default('k', true)",
    "true|string",
    "none|string",
    "[none,true]|join(',')",
    "x|float",
    "'3.7'|int",
    "'abc'|int",
    "'abc'|int(9)",
    "' 12 '|int",
    "'1e3'|float",
    "3.7|int",
    "3.5|round",
    "2.5|round",
    "'a,b'.split(',')",
    "'a b  c'.split()",
    "'a b  c'.split(' ')",
    "'a</think>b'.split('</think>')[-1]",
    "'a</think>b'.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n')",
    "'Hello'[0]",
    "'Hello'[::-1]",
    "'Hello'.replace('l','L',1)",
    "'Hello'.find('l')",
    "'x'.join(['a','b'])",
    "'a'.upper() + 'B'.lower()",
    "'ab'.startswith(('x','a'))",
    "'abc' is string and 'abc'|length == 3",
    "d is mapping and d is not sequence",
    "d is iterable",
    "'s' is iterable",
    "[1] is sequence",
    "messages is iterable and messages is not string",
    "d|length",
    "d.items()|length",
    "d|items|list|length",
    "d|list",
    "d.keys()|list",
    "d|dictsort",
    "d|tojson(indent=4)",
    "d|tojson",
    "d.t|tojson(indent=2)|indent(4)",
    "[]|tojson(indent=2)",
    "{}|tojson(indent=2)",
    "[[],{}]|tojson(indent=2)",
    "d|tojson(separators=(',', ': '), indent=1)",
    "raise_exception is defined",
    "raise_exception is defined and x",
    "loop is defined",
    "caller is defined",
    "range is defined",
    "dict is defined",
    "namespace is defined",
    "True and None",
    "true == 1",
    "1 == 1.0",
    "'1' == 1",
    "none == false",
    "[] == e",
    "{} == {}",
    "{'a':1} == {'a':1.0}",
    "(1,2) == [1,2]",
    "[1,2] == [1,2]",
    "[1] < [2]",
    "'a' < 'b'",
    "1 <= 2.5",
    "'a' in d",
    "'k' in d",
    "'role' in messages[0]",
    "'x' in messages[0].content",
    "messages[0] in messages",
    "messages[0].get('role') == 'system'",
    "messages[0].get('nope', 'dflt')",
    "messages[0].nope is defined",
    "messages[0]['nope'] is not defined",
    "messages[0].nope|length",
    "messages[0].items is defined",
    "messages[0]['items'] is defined",
    "messages[0]|items|first|first",
    "x ~ none ~ true ~ 1.0 ~ [1] ~ d.t",
    "x*'ab'",
    "'ab'*-1",
    "[0]*3",
    "x|abs",
    "(x, 2)|sum",
    "[1,2]|sum(start=10)",
    "[3,1,2]|sort",
    "['b','A']|sort",
    "[3,1]|sort(reverse=true)",
    "messages|sort(attribute='role')|map(attribute='role')|list",
    "['a','A']|unique|list",
    "[1,[2]]|first",
    "'abc'|first",
    "'abc'|last",
    "'abc'|reverse",
    "[1,2]|reverse|list",
    "'hello world-foo'|title",
    "'hELLO'|capitalize",
    "'a\\nb\\n\\nc'|indent",
    "'a\\nb'|indent(2, true)",
    "'a\\n\\nb'|indent(2, false, true)",
    "' x '|trim",
    "'xxax'|trim('x')",
    "'abab'|replace('a','c')",
    "'abab'|replace('a','c',1)",
    "x is even",
    "x is divisibleby 5",
    "x is eq 5",
    "x is ge 5 and x is lt 6",
    "x is in [5]",
    "x is not in [5]",
    "'a' is lower",
    "''|length",
    "x is boolean",
    "true is integer",
    "true is number",
    "1.5 is float",
    "1 is number",
    "x is number and x is not float",
]
SET = """{%- set x = 5 %}{% set e = [] %}{% set d = {'k': [1, {'q': 2}], 't': {'u': 'v'}} -%}"""
template("operations", SET + "\n".join("{{ " + operation + " }}" for operation in OPERATIONS)
    + "{% for message in messages %}{% generation %}{{ message }}{% endgeneration %}{{ eos_token }}{% endfor %}", eos="</s>")

# Marks inside a turn: several for a message, one at the very end, and one whose borders no token respects.
template("marks", """{{ bos_token }}{% for message in messages %}{% if message.role == 'assistant' %}<|assistant|>
{%+ generation %}{{ message.reasoning_content|default('') }}{% endgeneration %}<sep>{% generation %}{{ message.content or '' }}{{ eos_token }}{% endgeneration %}
{% else %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endif %}{% endfor %}{% if messages[-1].role == 'assistant' %}{% generation %}{{ eos_token }}{% endgeneration %}{% endif %}""",
    bos="<s>", eos="</s>", others=["<sep>", "<|end|>", "<|assistant|>"])
template("cut-marks", """{% for message in messages %}{% if message.role == 'assistant' %}the answ{% generation %}er {{ message.content }} is it{% endgeneration %}{% else %}{{ message.content }} {% endif %}{% endfor %}""", eos="</s>")


def user(content, **more):
    return {"role": "user", "content": content, **more}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


def system(content):
    return {"role": "system", "content": content}


TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "The weather\nof a <city> & more: é.", "parameters": {"type": "object", "properties": {
        "city": {"type": "string", "description": "City", "enum": ["Zürich", "Bern"]}, "days": {"type": ["integer", "null"], "default": 3},
        "tags": {"type": "array", "items": {"type": "string"}}, "list": {"type": "array"}, "wind": {"type": "boolean"}, "at": {"type": "object", "properties": {"x": {"type": "number"}}}}, "required": ["city"]},
        "return": {"type": "string"}}},
    {"type": "function", "function": {"name": "now", "description": "", "parameters": {"type": "object", "properties": {}}}},
]
ARGUMENTS = {"city": "Zürich \"x\"", "days": 2, "tags": ["a", "b'c"], "wind": True, "f": 1.5, "large": 1e16, "small": 1e-7, "none": None, "big": 9007199254740993}
CALL = {"type": "function", "id": "abcdef123", "function": {"name": "get_weather", "arguments": ARGUMENTS}}
LONG = "Line one.\n\n  Line two, with blanks at its end.   \n\tand a tab"

CONVERSATIONS = {
    "one turn": [user("What is 1 + 1?"), assistant("It is 2.")],
    "turns": [user("Hello"), assistant("Hi!"), user("How are you?"), assistant("Well, and you?"), user("Fine."), assistant("Good.")],
    "system": [system("Be brief.\n"), user("Hello"), assistant("Hi!"), user("Bye"), assistant("See you.")],
    "no assistant": [user("Anyone there?")],
    "only system": [system("Alone")],
    "trailing user": [user("a"), assistant("b"), user("c")],
    "first assistant": [assistant("Welcome!"), user("Thanks"), assistant("Sure")],
    "only assistant": [assistant("Nobody asked.")],
    "two users": [user("a"), user("b"), assistant("c"), assistant("d")],
    "empty": [user(""), assistant(""), user("x"), assistant("")],
    "blanks": [user("  " + LONG + "  \n"), assistant("\n\n " + LONG + " \n"), user("\u00a0q\u3000"), assistant("\u2028a\x1c ")],
    "unicode": [user("Grüezi 😀 日本語 e\u0301"), assistant("𝒳 = λ, 😀"), user("Ωmega"), assistant("ß ﬁ 🇨🇭")],
    "thinking in text": [user("q"), assistant("<think>\nhmm\n</think>\n\nfirst"), user("q2"), assistant("<think>\nagain\n</think>\n\nsecond")],
    "thinking apart": [user("q"), assistant("first", reasoning_content="hmm"), user("q2"), assistant("second", reasoning_content="\nagain\n")],
    "tool call": [user("Weather?"), assistant(None, tool_calls=[CALL]), {"role": "tool", "name": "get_weather", "tool_call_id": "abcdef123", "content": "{\"t\": 22}"}, assistant("22 degrees.")],
    "tool calls": [system("s"), user("Weather?"), assistant("", tool_calls=[CALL, CALL]), {"role": "tool", "content": "1"}, {"role": "tool", "content": "2"}, assistant("Both."), user("ok"), assistant("Bye")],
    "parts": [{"role": "user", "content": [{"type": "text", "text": "Part one, "}, {"type": "text", "text": "part two"}]}, {"role": "assistant", "content": [{"type": "text", "text": "An answer"}]}],
    "special tokens spelled out": [user("What is <|im_end|> and </s> and <|eot_id|>?"), assistant("{{ x }} {% if %} <|im_start|> [INST]")],
    "other keys": [user("a", name="Ann", n=[1, {"b": None}]), assistant("b", extra={"x": 1.0}), user("c", name=None), assistant("d")],
    "developer": [{"role": "developer", "content": "dev"}, user("a"), assistant("b")],
    "no think": [system("Answer in verse. /no_think"), user("a"), assistant("\nb"), user("c"), assistant("d")],
}


def metaspace():
    """A tokenizer in the form of Llama's: blanks as U+2581, bytes for what is not in its vocabulary."""
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=["<unk>"] + [f"<0x{byte:02X}>" for byte in range(256)], show_progress=False)
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="first", split=False)
    texts = [str(message) for messages in CONVERSATIONS.values() for message in messages] + ["the answer of the assistant is it"]
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def written(folder, name):
    """Writes the tokenizer of a template, and opens it again as a user does."""
    of = TEMPLATES[name]
    tokenizer = Tokenizer.from_file(str(DEMO)) if of["kind"] == "bytes" else metaspace()
    named = {key: of[short] for short, key in (("bos", "bos_token"), ("eos", "eos_token")) if of[short]}
    others = [AddedToken(token, normalized=False, special=True) for token in of["others"]]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named, extra_special_tokens=others)
    tokenizer.chat_template = of["source"]
    tokenizer.save_pretrained(folder / name)
    return AutoTokenizer.from_pretrained(folder / name)


class Rejected(Exception):
    """What Transformers takes, and this project does not, because the targets are not exact."""


def text_of(tokenizer, messages, tools, prompt=False):
    return tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, add_generation_prompt=prompt)


def ids_of(tokenizer, messages, tools, prompt=False):
    return tokenizer.apply_chat_template(messages, tools=tools, add_generation_prompt=prompt)["input_ids"]


def by_prefixes(tokenizer, messages, tools, last):
    """Targets without marks: the tokens of prefixes of the conversation, compared with all of its tokens."""
    ids = ids_of(tokenizer, messages, tools)
    mask = [False] * len(ids)
    places = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
    for place in places[-1:] if last else places:
        if place == 0:
            raise Rejected("nothing stands before it")
        try:
            start = ids_of(tokenizer, messages[:place], tools, prompt=True)
            end = ids_of(tokenizer, messages[: place + 1], tools)
        except Exception as error:
            raise Rejected(f"no prefix: {error}") from error
        if ids[: len(start)] != start or ids[: len(end)] != end or len(start) > len(end):
            raise Rejected("other tokens")
        mask[len(start) : len(end)] = [True] * (len(end) - len(start))
    return mask


def by_marks(tokenizer, messages, tools):
    """The mask of Transformers, if the marks lie between tokens."""
    from transformers.utils.chat_template_utils import _compile_jinja_template, _render_with_assistant_indices

    taken = tokenizer.apply_chat_template(messages, tools=tools, return_assistant_tokens_mask=True)
    compiled = _compile_jinja_template(tokenizer.get_chat_template(None, tools))
    text, spans = _render_with_assistant_indices(compiled, messages, tools, None, False, **tokenizer.special_tokens_map)
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    for start, end in offsets:
        if any(start < border < end for span in spans if span[0] < span[1] for border in span):
            raise Rejected("a token on both sides of a mark")
    return [bool(bit) for bit in taken["assistant_masks"]]


def expected(tokenizer, messages, tools, targets):
    """What must come out: text, ids and mask; or an error."""
    try:
        text = text_of(tokenizer, messages, tools)
        ids = ids_of(tokenizer, messages, tools)
    except (TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
        return {"error": f"{type(error).__name__}: {error}"}
    template = tokenizer.get_chat_template(None, tools)
    try:
        if targets == "all":
            mask = None
        elif re.search(r"\{%[-+]?\s*generation", template):
            mask = by_marks(tokenizer, messages, tools)
            if targets == "last-assistant":
                places = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
                if len(places) > 1:
                    before = ids_of(tokenizer, messages[: places[-1]], tools)
                    if ids[: len(before)] != before:
                        raise Rejected("other tokens before the last answer")
                    mask = [bit and place >= len(before) for place, bit in enumerate(mask)]
        else:
            mask = by_prefixes(tokenizer, messages, tools, targets == "last-assistant")
    except Rejected as error:
        return {"text": text, "ids": ids, "rejected": str(error)}
    return {"text": text, "ids": ids, "mask": mask}


def write(folder, names):
    cases = []
    for name in names or TEMPLATES:
        tokenizer = written(folder, name)
        for title, messages in CONVERSATIONS.items():
            for tools in (None, TOOLS):
                for targets in ("assistant", "last-assistant", "all"):
                    case = expected(tokenizer, messages, tools, targets)
                    cases.append({"template": name, "title": title, "targets": targets, "messages": json.dumps(messages, ensure_ascii=len(cases) % 2 == 0),
                        "tools": None if tools is None else json.dumps(tools), **case})
    with open(folder / "cases.jsonl", "w", encoding="utf-8", newline="\n") as file:
        for case in cases:
            file.write(json.dumps(case) + "\n")


def check(masks, folder):
    """Compares `input_ids` and `target` of a masks folder with the mask of each conversation, found by its ids."""
    from datasets import load_from_disk

    wanted = {}
    with open(folder / "cases.jsonl", encoding="utf-8") as file:
        for line in file:
            case = json.loads(line)
            if case.get("mask") is not None:
                wanted.setdefault(tuple(case["ids"]), []).append(case["mask"])
    rows = load_from_disk(str(masks))
    for row in rows:
        assert row["target"] in wanted[tuple(row["input_ids"])], row["id"]
    print(len(rows))


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]), sys.argv[3:])
    else:
        check(Path(sys.argv[2]), Path(sys.argv[3]))
