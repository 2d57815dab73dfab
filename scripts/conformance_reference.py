"""What the official conformance suite calls by name: its tools, resources and prompts, on this project's server class.

The suite describes each of them in its scenarios. Registered on `OmiServer` they hold the class and the HTTP app
around it to the whole protocol, most of which our own tools have no need of.
"""

import base64
import json
from typing import Annotated, Any, Literal

import anyio
from mcp.server import ServerRequestContext
from mcp.server.mcpserver import Context, Elicit, ElicitationResult, Resolve, UserMessage
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import Prompt
from mcp.shared.exceptions import MCPError
from mcp.types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    CreateMessageRequest,
    CreateMessageRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    EmbeddedResource,
    EmptyResult,
    ImageContent,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
    SamplingMessage,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    TextResourceContents,
    UnsubscribeRequestParams,
)
from pydantic import BaseModel, Field

from omi_mcp.server import OmiServer

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
SILENCE = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA="
STEP_SECONDS = 0.05
"""The suite wants to see messages arrive one after the other."""


class Reply(BaseModel):
    username: str = Field(description="User's response")
    email: str = Field(description="User's email address")


class Defaults(BaseModel):
    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: Literal["active", "inactive", "pending"] = "active"
    verified: bool = True


class Choices(BaseModel):
    """One field for each way a schema can offer choices, named as the suite names them."""

    untitledSingle: str = Field(json_schema_extra={"enum": ["option1", "option2", "option3"]})  # noqa: N815
    titledSingle: str = Field(json_schema_extra={"oneOf": [{"const": "value1", "title": "First"}]})  # noqa: N815
    legacyEnum: str = Field(  # noqa: N815
        json_schema_extra={"enum": ["opt1", "opt2"], "enumNames": ["Option One", "Option Two"]}
    )
    untitledMulti: list[str] = Field(  # noqa: N815
        json_schema_extra={"items": {"type": "string", "enum": ["option1", "option2"]}}
    )
    titledMulti: list[str] = Field(  # noqa: N815
        json_schema_extra={"items": {"anyOf": [{"const": "value1", "title": "First"}]}}
    )


def register(server: OmiServer) -> None:
    """Put everything the suite calls by name on `server`."""
    _register_contents(server)
    _register_conversations(server)
    _register_rounds(server)
    _register_resources(server)
    _register_prompts(server)
    _register_notifications(server)


def _text(uri: str, text: str, mime_type: str = "text/plain") -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=text))


def _register_contents(server: OmiServer) -> None:
    image = ImageContent(type="image", data=PIXEL, mime_type="image/png")

    @server.tool(description="Plain text")
    async def test_simple_text() -> str:
        return "This is a simple text response for testing."

    @server.tool(description="An image")
    async def test_image_content() -> list[ImageContent]:
        return [image]

    @server.tool(description="A sound")
    async def test_audio_content() -> list[AudioContent]:
        return [AudioContent(type="audio", data=SILENCE, mime_type="audio/wav")]

    @server.tool(description="A resource in the answer")
    async def test_embedded_resource() -> list[EmbeddedResource]:
        return [_text("test://embedded-resource", "This is an embedded resource content.")]

    @server.tool(description="Text, image and resource in one answer")
    async def test_multiple_content_types() -> list[TextContent | ImageContent | EmbeddedResource]:
        data = json.dumps({"test": "data", "value": 123})
        return [
            TextContent(type="text", text="Multiple content types test:"),
            image,
            _text("test://mixed-content-resource", data, "application/json"),
        ]

    @server.tool(description="Always fails")
    async def test_error_handling() -> str:
        raise ToolError("This tool intentionally returns an error for testing")


def _register_conversations(server: OmiServer) -> None:
    @server.tool(description="Logs three times")
    async def test_tool_with_logging(ctx: Context[None]) -> str:
        for message in ("Tool execution started", "Tool processing data", "Tool execution completed"):
            await ctx.info(message)
            await anyio.sleep(STEP_SECONDS)
        return "logged"

    @server.tool(description="Logs once")
    async def test_logging_tool(ctx: Context[None]) -> str:
        await ctx.info("test_logging_tool ran")
        return "logged"

    @server.tool(description="Reports progress")
    async def test_tool_with_progress(ctx: Context[None]) -> str:
        for done in (0, 50, 100):
            await ctx.report_progress(done, 100, f"{done} of 100")
            await anyio.sleep(STEP_SECONDS)
        return "done"

    @server.tool(description="Asks the host's model")
    async def test_sampling(prompt: str, ctx: Context[None]) -> str:
        message = SamplingMessage(role="user", content=TextContent(type="text", text=prompt))
        answer = await ctx.session.create_message([message], max_tokens=100, related_request_id=ctx.request_id)
        return f"LLM response: {getattr(answer.content, 'text', '')}"

    @server.tool(description="Asks the person")
    async def test_elicitation(message: str, ctx: Context[None]) -> str:
        return _outcome(await ctx.elicit(message, Reply))

    @server.tool(description="Asks the person, with defaults")
    async def test_elicitation_sep1034_defaults(ctx: Context[None]) -> str:
        return _outcome(await ctx.elicit("Who are you?", Defaults))

    @server.tool(description="Asks the person to choose")
    async def test_elicitation_sep1330_enums(ctx: Context[None]) -> str:
        return _outcome(await ctx.elicit("Choose", Choices))

    async def ask() -> Elicit[Reply]:
        return Elicit("Say a word", Reply)

    @server.tool(description="Asks the person, in whichever way the protocol has")
    async def test_streaming_elicitation(answer: Annotated[ElicitationResult[Reply], Resolve(ask)]) -> str:
        return f"elicitation {answer.action}"

    @server.tool(description="Works only with a host that samples")
    async def test_missing_capability(ctx: Context[None]) -> str:
        if ctx.client_capabilities is None or ctx.client_capabilities.sampling is None:
            raise MCPError(
                MISSING_REQUIRED_CLIENT_CAPABILITY,
                "The host declares no sampling",
                {"requiredCapabilities": {"sampling": {}}},
            )
        return "sampling is declared"


def _outcome(answer: ElicitationResult[Any]) -> str:
    content = answer.data.model_dump_json() if answer.action == "accept" else "{}"
    return f"Elicitation completed: action={answer.action}, content={content}"


def _ask(message: str, field: str, kind: str = "string") -> ElicitRequest:
    schema = {"type": "object", "properties": {field: {"type": kind}}, "required": [field]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def _sample(text: str) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=TextContent(type="text", text=text))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[message], max_tokens=50))


def _register_rounds(server: OmiServer) -> None:
    """Calls that ask the host for more, and are made again with the answers."""

    def answered(ctx: Context[None], *keys: str) -> bool:
        return ctx.input_responses is not None and set(keys) <= set(ctx.input_responses)

    def once(name: str, requests: dict[str, InputRequest], state: str | None = None) -> None:
        @server.tool(name=name, description="Asks the host once")
        async def tool(ctx: Context[None]) -> str | InputRequiredResult:
            if answered(ctx, *requests) and ctx.request_state == state:
                return f"state-ok: {', '.join(requests)}"
            return InputRequiredResult(input_requests=requests, request_state=state)

    name = "What is your name?"
    once("test_input_required_result_elicitation", {"user_name": _ask(name, "name")})
    once("test_input_required_result_sampling", {"capital_question": _sample("What is the capital of France?")})
    once("test_input_required_result_list_roots", {"client_roots": ListRootsRequest()})
    once("test_input_required_result_request_state", {"confirm": _ask("Please confirm", "ok", "boolean")}, "nonce")
    once("test_input_required_result_tampered_state", {"confirm": _ask("Please confirm", "ok", "boolean")}, "round-1")
    once(
        "test_input_required_result_multiple_inputs",
        {
            "user_name": _ask(name, "name"),
            "greeting": _sample("Generate a greeting"),
            "client_roots": ListRootsRequest(),
        },
        "multiple-inputs",
    )

    @server.tool(description="Asks the host twice")
    async def test_input_required_result_multi_round(ctx: Context[None]) -> str | InputRequiredResult:
        if ctx.request_state == "round 2" and answered(ctx, "step2"):
            return "Both steps are answered."
        if ctx.request_state == "round 1" and answered(ctx, "step1"):
            return InputRequiredResult(
                input_requests={"step2": _ask("Step 2: What is your favorite color?", "color")}, request_state="round 2"
            )
        return InputRequiredResult(input_requests={"step1": _ask(f"Step 1: {name}", "name")}, request_state="round 1")

    @server.tool(description="Asks for what the host declares")
    async def test_input_required_result_capabilities(ctx: Context[None]) -> InputRequiredResult:
        declared, requests = ctx.client_capabilities, dict[str, InputRequest]()
        if declared is not None and declared.sampling is not None:
            requests["sample"] = _sample("Say hello")
        if declared is not None and declared.elicitation is not None:
            requests["ask"] = _ask(name, "name")
        return InputRequiredResult(input_requests=requests, request_state="capabilities")

    @server.prompt(description="Asks the host before it answers")
    async def test_input_required_result_prompt(ctx: Context[None]) -> list[UserMessage] | InputRequiredResult:
        if answered(ctx, "user_context"):
            return [UserMessage("The context is known.")]
        return InputRequiredResult(
            input_requests={"user_context": _ask("What context should the prompt use?", "context")}
        )


def _register_resources(server: OmiServer) -> None:
    @server.resource("test://static-text", description="Text", mime_type="text/plain")
    async def text() -> str:
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", description="An image", mime_type="image/png")
    async def binary() -> bytes:
        return base64.b64decode(PIXEL)

    @server.resource("test://template/{id}/data", description="By id", mime_type="application/json")
    async def template(id: str) -> str:
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})

    @server.resource("test://watched-resource", description="Can be subscribed to", mime_type="text/plain")
    async def watched() -> str:
        return "Watched resource content"


def _register_prompts(server: OmiServer) -> None:
    @server.prompt(description="Without arguments")
    async def test_simple_prompt() -> str:
        return "This is a simple prompt for testing."

    @server.prompt(description="With arguments")
    async def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @server.prompt(description="With a resource in it")
    async def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:  # noqa: N803
        resource = _text(resourceUri, "Embedded resource content for testing.")
        return [UserMessage(resource), UserMessage("Please process the embedded resource above.")]

    @server.prompt(description="With an image in it")
    async def test_prompt_with_image() -> list[UserMessage]:
        image = ImageContent(type="image", data=PIXEL, mime_type="image/png")
        return [UserMessage(image), UserMessage("Please analyze the image above.")]


def _register_notifications(server: OmiServer) -> None:
    async def passing() -> str:
        return "here for a moment"

    @server.tool(description="Changes the list of tools")
    async def test_trigger_tool_change(ctx: Context[None]) -> str:
        server.add_tool(passing, name="test_passing_tool")
        server.remove_tool("test_passing_tool")
        await ctx.notify_tools_changed()
        return "changed"

    @server.tool(description="Changes the list of prompts")
    async def test_trigger_prompt_change(ctx: Context[None]) -> str:
        server.add_prompt(Prompt.from_function(passing, name="test_passing_prompt", description="Passing"))
        server.remove_prompt("test_passing_prompt")
        await ctx.notify_prompts_changed()
        return "changed"

    async def accept(ctx: ServerRequestContext[Any, Any], params: Any) -> EmptyResult:
        return EmptyResult()

    for method, params in (
        ("logging/setLevel", SetLevelRequestParams),
        ("resources/subscribe", SubscribeRequestParams),
        ("resources/unsubscribe", UnsubscribeRequestParams),
    ):
        server._lowlevel_server.add_request_handler(method, params, accept)  # the SDK has no public way
