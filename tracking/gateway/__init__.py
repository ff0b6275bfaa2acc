"""Model calls go out, guarded: who calls, is the run alive, is there money, then the provider, then the bill.

api.py        the doors, small ASGI callables: OpenAI's and Anthropic's dialects; models_api.py, responses_api.py and
              count_tokens_api.py are those that cost nothing
request_body.py  the JSON of a request, and what it may not hold
asked.py      what headers and body ask for, in any dialect
guard.py      secrets in prompts and answers: noted, masked, refused
answer_cache.py  the same question, the same answer, for nothing
together.py   calls in one moment share statements
call.py       the guarded call, readable as one sentence
admit.py      before the call: the run, its loops, its money, in one trip to PostgreSQL
ceiling.py    the most a call can cost; tokens.py counts what is sent
routing.py    a name -> deployments in order
kept_responses.py  answers a provider keeps, and whose they are
kept_answers.py  what an idempotency key was answered with
rate_limits.py  how many calls and tokens a minute, in Redis (rate_script.py)
breakers.py   deployments that fail are given a rest; agent_breakers.py: agents that go wrong are cut off; circuit_view.py is
              what both see and tell
provider.py   sending to a deployment: over HTTP (http_provider.py), the built-in demo (demo_provider/), or LiteLLM
              (litellm_provider.py, with litellm_answers.py and litellm_errors.py)
failures.py   how providers fail, and what that means for the call; reach.py says where none can be
finish.py     after the call: what it cost, settled and recorded; leases kept alive meanwhile
answers.py    errors as each dialect says them
dialects/     what is particular to a wire format, one file each
pool.py       connections of the event loop's own
"""
